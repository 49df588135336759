import { scoreEpisodes, scoreOf, type EpisodeScore } from '../motion/score-episodes.ts';
import type { Sharpness } from '../motion/sharpness.ts';
import { WORTH, type MotionCode } from '../motion/thresholds.ts';
import type { Recording } from '../read/recording.ts';
import type { UnitConvention } from '../units/infer-units.ts';
import { KNOWN_CONFIDENCE } from '../units/infer-units.ts';
import { leaderOffsets } from '../units/leader-offset.ts';
import { unitsOf } from '../units/units-of.ts';
import type { EpisodeFacts } from './check-rows.ts';
import type { Findings } from './findings.ts';

/** Frames that units and offsets are inferred from. */
const MAX_FRAMES = 60_000;

/** Findings that tell of something without being a fault for certain. */
const NOTES: readonly MotionCode[] = ['LENGTH_OUTLIER', 'SATURATED'];

/** Reports units that are not sure, leaders calibrated apart, and how every episode moves. */
export function checkMovement(
  { info }: Recording,
  facts: readonly EpisodeFacts[],
  stated: UnitConvention | undefined,
  findings: Findings,
): readonly EpisodeScore[] {
  if (facts.length === 0) return [];
  const rows = sampleOf(facts);
  const { joints, why } = unitsOf(info, rows, stated);
  const names = { robotType: info.robotType, stateNames: info.state.names, actionNames: info.action.names };
  const unsure = [...joints.state, ...joints.action].some(({ unit, confidence }) => confidence < KNOWN_CONFIDENCE && unit !== 'unknown');
  const likely = [...new Set(joints.state.map(({ unit }) => unit))].join(' and ');
  if (unsure) findings.add('warning', 'UNITS', `The units of the joints are likely ${likely}, and not sure: ${why.state}.`);
  for (const { joint, degrees } of leaderOffsets(rows, { ...names, joints })) {
    findings.add('warning', 'LEADER_OFFSET', `${joint}: the action stands ${degrees.toFixed(1)}° from the state that follows it.`);
  }
  const context = { fps: info.fps, ...names, joints };
  const scores = scoreEpisodes(facts.map(({ episode, content, timestamps }) => ({ episodeIndex: episode.episodeIndex, ...content, timestamps })), context);
  for (const [i, { episode, findings: found, notes }] of scores.entries()) {
    for (const { code, message, frame } of [...found, ...notes]) {
      const where = { file: facts[i]!.file, episode, ...(frame === undefined ? {} : { frame }) };
      findings.add(NOTES.includes(code) || WORTH[code] === 1 ? 'info' : 'warning', code, `Episode ${episode}: ${message}.`, where);
    }
  }
  return scores;
}

/** Reports cameras that saw an episode out of focus, and takes that off the scores. */
export function withBlur(scores: readonly EpisodeScore[], sharpness: Sharpness, findings: Findings): readonly EpisodeScore[] {
  const blurred = sharpness.blurred();
  for (const { episode, camera, file, sharpness: value, usual } of blurred) {
    const message = `Episode ${episode}: ${camera} is blurred: its sharpness is ${value.toFixed(0)}, of half of the episodes over ${usual.toFixed(0)}.`;
    findings.add('warning', 'BLURRED_CAMERA', message, { episode, camera, file });
  }
  return scores.map((one) => {
    const blur = blurred.find(({ episode }) => episode === one.episode);
    if (blur === undefined) return one;
    const found = [...one.findings, { code: 'BLURRED_CAMERA' as const, message: `${blur.camera} is blurred` }];
    return { ...one, findings: found, score: scoreOf(found.map(({ code }) => code)) };
  });
}

function sampleOf(facts: readonly EpisodeFacts[]): { readonly state: Float32Array; readonly action: Float32Array; readonly offsets: readonly number[] } {
  const used: EpisodeFacts[] = [];
  const offsets = [0];
  for (const fact of facts) {
    if (offsets.at(-1)! + fact.rows.length > MAX_FRAMES && used.length > 0) break;
    used.push(fact);
    offsets.push(offsets.at(-1)! + fact.rows.length);
  }
  const joined = (parts: readonly Float32Array[]): Float32Array => {
    const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  };
  return { state: joined(used.map(({ content }) => content.state)), action: joined(used.map(({ content }) => content.action)), offsets };
}
