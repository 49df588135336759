import { INK, label, MUTED, renderPng, thumbnail, type ChartOption, type ChartSize } from '@zk0/charts';
import type { CameraInfo } from '@zk0/core';
import type { SampledEpisode, SampledImage } from './samples.ts';

/** What a contact sheet says above its images. */
export interface SheetTitle {
  readonly name: string;
  readonly detail: string;
}

const MARGIN = 24;
const HEADER = 112;
/** Room on the left for what an episode is. */
const ASIDE = 190;
const GAP = 6;
/** More room between cameras than between the frames of one. */
const CAMERA_GAP = 22;
const ROW_GAP = 14;
/** Widest the sheet gets, in points; images share what is left. */
const MAX_WIDTH = 1600;
const MAX_TILE = { width: 220, height: 190 };
const MOMENTS = ['first', 'middle', 'last'] as const;

interface Layout extends ChartSize {
  readonly tile: { readonly width: number; readonly height: number };
}

/** Draws the first, middle and last frame of every camera, one episode a row. PNG bytes. */
export async function renderContactSheet(
  title: SheetTitle,
  cameras: readonly CameraInfo[],
  episodes: readonly SampledEpisode[],
): Promise<Uint8Array> {
  const layout = layOut(cameras, episodes.length);
  const pictures = new Map<SampledImage, string>();
  for (const sampled of episodes.flatMap(({ images }) => images)) {
    if (sampled.image === null) continue;
    // Twice as many pixels as points, as the sheet has.
    const png = await thumbnail(sampled.image, { width: layout.tile.width * 2, height: layout.tile.height * 2 });
    pictures.set(sampled, `data:image/png;base64,${png.toString('base64')}`);
  }
  return await renderPng(contactSheet(title, cameras, episodes, layout, pictures), layout);
}

/** Where everything goes; separate from the drawing for tests. */
export function layOut(cameras: readonly CameraInfo[], rows: number): Layout {
  const columns = Math.max(1, cameras.length * MOMENTS.length);
  const gaps = (columns - cameras.length) * GAP + (cameras.length - 1) * CAMERA_GAP;
  const [tallest, flattest] = [Math.max, Math.min].map((of) => of(...cameras.map((camera) => camera.height / camera.width)));
  const room = Math.floor((MAX_WIDTH - 2 * MARGIN - ASIDE - gaps) / columns);
  // No wider than the widest image of the greatest height.
  const width = Math.min(MAX_TILE.width, room, Math.ceil(MAX_TILE.height / flattest!));
  const tile = { width, height: Math.min(MAX_TILE.height, Math.ceil(width * tallest!)) };
  return {
    tile,
    width: 2 * MARGIN + ASIDE + columns * width + gaps,
    height: HEADER + rows * tile.height + Math.max(0, rows - 1) * ROW_GAP + MARGIN,
  };
}

function contactSheet(
  title: SheetTitle,
  cameras: readonly CameraInfo[],
  episodes: readonly SampledEpisode[],
  { tile, width }: Layout,
  pictures: ReadonlyMap<SampledImage, string>,
): ChartOption {
  const left = (camera: number, moment: number): number =>
    MARGIN + ASIDE + camera * (3 * tile.width + 2 * GAP + CAMERA_GAP) + moment * (tile.width + GAP);
  const top = (row: number): number => HEADER + row * (tile.height + ROW_GAP);
  const elements: object[] = cameras.flatMap(({ key }, camera) => [
    text(label(key, Math.floor((3 * tile.width) / 7)), left(camera, 0), HEADER - 44, 13, INK, true),
    ...MOMENTS.map((moment, i) => text(moment, left(camera, i), HEADER - 22, 12, MUTED)),
  ]);
  for (const [row, episode] of episodes.entries()) {
    elements.push(
      text(`episode ${episode.episodeIndex}`, MARGIN, top(row) + 2, 13, INK, true),
      text(`${episode.length} frames`, MARGIN, top(row) + 22, 12, MUTED),
      wrapped(label(episode.task, 90), MARGIN, top(row) + 42, ASIDE - 20),
    );
    episode.images.forEach((sampled, i) => {
      const x = left(Math.floor(i / 3), i % 3);
      elements.push(...tileOf(sampled, pictures.get(sampled), x, top(row), tile));
    });
  }
  return {
    title: {
      text: label(title.name, 90),
      subtext: label(title.detail, Math.floor((width - 2 * MARGIN) / 6.5)),
      left: MARGIN - 5,
      top: 10,
      itemGap: 6,
      textStyle: { fontSize: 18, fontWeight: 600, color: INK },
      subtextStyle: { fontSize: 12, color: MUTED },
    },
    graphic: elements,
  };
}

function tileOf(
  { image, position }: SampledImage,
  picture: string | undefined,
  x: number,
  y: number,
  tile: Layout['tile'],
): object[] {
  if (image === null || picture === undefined) {
    return [
      { type: 'rect', shape: { x, y, ...tile }, style: { fill: '#F3F4F6', stroke: '#D8DCE0', lineWidth: 1 } },
      text('cannot be decoded', x + 10, y + tile.height / 2 - 7, 12, '#B42318'),
    ];
  }
  const scale = Math.min(tile.width / image.width, tile.height / image.height);
  const size = { width: image.width * scale, height: image.height * scale };
  const badge = String(position);
  return [
    { type: 'image', style: { image: picture, x, y, ...size } },
    { type: 'rect', shape: { x, y: y + size.height - 17, width: 8 + badge.length * 7, height: 17 }, style: { fill: 'rgba(0,0,0,0.62)' } },
    text(badge, x + 4, y + size.height - 14, 11, '#FFFFFF'),
  ];
}

function text(content: string, x: number, y: number, size: number, fill: string, isBold = false): object {
  return { type: 'text', style: { text: content, x, y, fill, fontFamily: 'Arimo', fontSize: size, fontWeight: isBold ? 600 : 400 } };
}

function wrapped(content: string, x: number, y: number, width: number): object {
  return { type: 'text', style: { text: content, x, y, fill: MUTED, fontFamily: 'Arimo', fontSize: 12, width, overflow: 'break', lineHeight: 15 } };
}
