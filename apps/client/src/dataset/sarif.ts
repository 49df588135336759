import { adviceFor, type Finding, type Severity, type ValidationReport } from '@zk0/dataset-so100';

const LEVELS: Readonly<Record<Severity, 'error' | 'warning' | 'note'>> = { error: 'error', warning: 'warning', info: 'note' };

/**
 * Reports as a log of SARIF 2.1.0 (OASIS), which code hosts show beside a change: a rule for every code found, a result for every
 * finding, the episode, camera and frame as its logical location.
 */
export function sarifLog(reports: readonly ValidationReport[]): object {
  const findings = reports.flatMap(({ uri, findings: found }) => found.map((finding) => ({ uri, finding })));
  const codes = [...new Set(findings.map(({ finding }) => finding.code))].sort();
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'zk0-client dataset doctor',
            rules: codes.map((id) => ({ id, help: { text: adviceFor(id) } })),
          },
        },
        results: findings.map(({ uri, finding }) => ({
          ruleId: finding.code,
          ruleIndex: codes.indexOf(finding.code),
          level: LEVELS[finding.severity],
          message: { text: finding.message },
          locations: [locationOf(uri, finding)],
        })),
      },
    ],
  };
}

function locationOf(uri: string, { file, row, episode, camera, frame }: Finding): object {
  const parts = [...(episode === undefined ? [] : [`episode ${episode}`]), ...(camera === undefined ? [] : [camera]), ...(frame === undefined ? [] : [`frame ${frame}`])];
  return {
    physicalLocation: {
      artifactLocation: { uri: encodeURI(file ?? uri).replaceAll('#', '%23').replaceAll('?', '%3F') },
      // Rows are counted from 0, lines of a region from 1.
      ...(row === undefined ? {} : { region: { startLine: row + 1 } }),
    },
    ...(parts.length === 0 ? {} : { logicalLocations: [{ fullyQualifiedName: parts.join('/') }] }),
  };
}
