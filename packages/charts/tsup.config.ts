import { defineConfig } from 'tsup';
import { declarations, shared } from '../../tsup.shared.ts';

export default defineConfig({
  ...shared,
  // Of ECharts' 60 MB the few parts that draw these charts go into the package, code and types.
  noExternal: [/^echarts/, /^zrender/],
  dts: { ...declarations(['index']), resolve: [/^echarts/, /^zrender/] },
});
