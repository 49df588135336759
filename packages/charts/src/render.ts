import { fileURLToPath } from 'node:url';
import { renderAsync } from '@resvg/resvg-js';
import { BarChart, LineChart } from 'echarts/charts';
import { GraphicComponent, GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
// One file with all types, which goes into this package's own: users do not install ECharts.
import type {
  BarSeriesOption,
  ComposeOption,
  GraphicComponentOption,
  GridComponentOption,
  LegendComponentOption,
  LineSeriesOption,
  TitleComponentOption,
} from 'echarts/types/dist/echarts';

use([BarChart, LineChart, GraphicComponent, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** A series that {@link renderPng} can draw. */
export type ChartSeries = BarSeriesOption | LineSeriesOption;
/** What {@link renderPng} can draw. */
export type ChartOption = ComposeOption<
  | BarSeriesOption
  | GraphicComponentOption
  | GridComponentOption
  | LegendComponentOption
  | LineSeriesOption
  | TitleComponentOption
>;

/** Size in points; the picture has twice as many pixels each way. */
export interface ChartSize {
  readonly width: number;
  readonly height: number;
}

const PIXELS_PER_POINT = 2;

/** ECharts measures text as if it were Arial; Arimo has the same widths, so nothing overlaps. */
const FONT = 'Arimo';
const FONT_FILES = ['400Regular/Arimo_400Regular.ttf', '600SemiBold/Arimo_600SemiBold.ttf', '700Bold/Arimo_700Bold.ttf'];

/** Distinct on white, and to colour-blind readers beside each other (Tableau 10, reordered). */
export const PALETTE = ['#4E79A7', '#F28E2B', '#59A14F', '#B07AA1', '#E15759', '#76B7B2', '#9C755F', '#EDC948'] as const;
/** Text and the line that matters most. */
export const INK = '#1F2933';
/** Subtitles, names of axes. */
export const MUTED = '#6B7780';
const GRID_LINE = '#E4E7EB';

/** An axis's line, as an ECharts option. */
export const AXIS_LINE = { lineStyle: { color: '#9AA5B1' } } as const;
/** The lines of a grid, as an ECharts option. */
export const SPLIT_LINE = { lineStyle: { color: GRID_LINE } } as const;

/** Draws `option` as PNG bytes, the same on every machine: fonts come from a package, not from the system. */
export async function renderPng(option: ChartOption, size: ChartSize): Promise<Uint8Array> {
  const chart = init(null, null, { renderer: 'svg', ssr: true, ...size });
  let svg: string;
  try {
    chart.setOption({ animation: false, backgroundColor: '#FFFFFF', textStyle: { fontFamily: FONT, color: INK }, ...option });
    svg = chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
  const image = await renderAsync(svg, {
    fitTo: { mode: 'width', value: size.width * PIXELS_PER_POINT },
    font: {
      loadSystemFonts: false,
      fontFiles: FONT_FILES.map((file) => fileURLToPath(import.meta.resolve(`@expo-google-fonts/arimo/${file}`))),
      defaultFontFamily: FONT,
    },
  });
  return image.asPng();
}
