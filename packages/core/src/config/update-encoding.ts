import * as z from 'zod';

/**
 * How a client's update travels:
 *
 * - `float32`: the trained weights as they are.
 * - `bfloat16`, `int8`, `int4`, `ternary`, `compressed`: the difference to what the round began with, rounded; what rounding left over is added to the next update.
 * - `delta`: the weights without loss, as what has changed of their bits, compressed.
 */
export const updateEncodingSchema = z.enum(['float32', 'bfloat16', 'int8', 'int4', 'ternary', 'compressed', 'delta']);
export type UpdateEncoding = z.infer<typeof updateEncodingSchema>;

/** What a run asks for: one encoding of all clients, or of each the most precise rounded one that its connection carries (`auto`). */
export const updateEncodingChoiceSchema = z.enum([...updateEncodingSchema.options, 'auto']);
export type UpdateEncodingChoice = z.infer<typeof updateEncodingChoiceSchema>;
