/**
 * @module
 * Charts and images as PNG bytes, the same on every machine.
 */
export {
  AXIS_LINE,
  INK,
  MUTED,
  PALETTE,
  renderPng,
  SPLIT_LINE,
  type ChartOption,
  type ChartSeries,
  type ChartSize,
} from './render.ts';
export { label, tick } from './text.ts';
export { thumbnail, type RgbPixels } from './thumbnail.ts';
