"""The golden cases: tiny SmolVLAs that between them take every path of the model. Sizes are chosen to differ from each
other wherever two of them could be confused."""

TEXT = dict(hidden_size=32, intermediate_size=40, num_attention_heads=8, num_key_value_heads=2, head_dim=6,
            vocab_size=64, rms_norm_eps=1e-5)
VISION = dict(hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4, image_size=32,
              patch_size=8, layer_norm_eps=1e-6)

DEFAULTS = dict(
    lerobot="0.6",
    text=TEXT, vision=VISION, scale_factor=2,
    # LeRobot's own fields.
    policy=dict(chunk_size=5, n_action_steps=5, max_state_dim=7, max_action_dim=6, num_steps=10,
                tokenizer_max_length=8, resize_imgs_with_padding=(32, 32), empty_cameras=0,
                freeze_vision_encoder=True, train_expert_only=True, train_state_proj=True,
                attention_mode="cross_attn", num_vlm_layers=4, num_expert_layers=-1, self_attn_every_n_layers=2,
                expert_width_multiplier=0.5, add_image_special_tokens=False, prefix_length=-1),
    batch=2, cameras=1, state_size=6, action_size=4, language_tokens=7,
    # Which of the batch's padded things there are.
    pad_language=True, pad_actions=True, hide_camera=False,
    sample=True, optimizer=None, seed=0,
)


def case(name, seed, policy=None, **changes):
    merged = dict(DEFAULTS, name=name, seed=seed, **changes)
    merged["policy"] = dict(DEFAULTS["policy"], **(policy or {}))
    return merged


PRESET = dict(lr=1e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-10, grad_clip_norm=10.0, steps=10)

CASES = [
    case("cross-two-cameras", 1, cameras=2, optimizer=PRESET, proximal=0.1),
    case("self-one-camera", 2, dict(attention_mode="self_attn", num_vlm_layers=2), batch=3,
         optimizer=dict(PRESET, lr=1e-2, weight_decay=0.1, grad_clip_norm=0.5)),
    case("one-camera-one-empty", 3, dict(empty_cameras=1, num_vlm_layers=2, expert_width_multiplier=0.75), cameras=2,
         hide_camera=True, optimizer=PRESET, proximal=0.1),
    case("half-depth-cross", 4, dict(num_expert_layers=2, self_attn_every_n_layers=-1), optimizer=PRESET, proximal=0.1),
    # LeRobot trains this one but cannot sample from it: it concatenates an empty list in layers without an expert.
    case("half-depth-self", 5, dict(num_expert_layers=2, attention_mode="self_attn"), sample=False, optimizer=PRESET,
         proximal=0.1),
    case("half-depth-mixed", 6, dict(num_expert_layers=2, self_attn_every_n_layers=3), sample=False),
    case("frozen-state-unpadded", 7, dict(train_state_proj=False, num_vlm_layers=2), pad_language=False, pad_actions=False,
         optimizer=PRESET, proximal=0.1),
    case("trained-vlm", 8, dict(train_expert_only=False, num_vlm_layers=3), cameras=2, optimizer=PRESET, proximal=0.1),
    case("trained-vision-half-depth", 9, dict(train_expert_only=False, freeze_vision_encoder=False, num_expert_layers=2,
                                              self_attn_every_n_layers=-1), cameras=2, hide_camera=True, optimizer=PRESET),
    case("special-tokens-one-empty", 10, dict(add_image_special_tokens=True, empty_cameras=1, num_vlm_layers=2)),
    case("special-tokens-trained", 11, dict(add_image_special_tokens=True, train_expert_only=False, num_vlm_layers=2)),
    case("prefix-length", 12, dict(prefix_length=30, num_vlm_layers=2), cameras=2),
    case("release-0-4", 13, dict(num_vlm_layers=2), lerobot="0.4", cameras=2),
]
