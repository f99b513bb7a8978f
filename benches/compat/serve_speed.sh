#!/bin/bash
# Speed of `realizar-cli serve` beside another server of the same model, asked by the same client in turns.
#
#   cargo build --release -p realizar-cli && cargo build --release -p realizar-benches --bin serve-load
#   benches/compat/serve_speed.sh target/release model.gguf [path/to/llama-server]
#
# Prints one line of JSON per measurement. Nothing else should run meanwhile. Each server has as many threads as there are
# cores, sixteen places, and 512 tokens for each; prompts differ in every request and are not cached.
set -euo pipefail
bin=$1 model=$2 peer=${3:-}
rounds=${ROUNDS:-3} tokens=${TOKENS:-64} seconds=${SECONDS_EACH:-3} ours=127.0.0.1:18080 theirs=127.0.0.1:18081
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
up() { for _ in $(seq 300); do curl -sf "http://$1/health" >/dev/null && return; sleep 0.1; done; echo "$1 is not up" >&2; exit 1; }
"$bin/realizar-cli" serve "$model" --listen "$ours" --quiet --ctx 512 --parallel 16 & pids+=($!)
up "$ours"
servers=("ours $ours")
if [ -n "$peer" ]; then
  "$peer" -m "$model" --host 127.0.0.1 --port 18081 -np 16 -c 8192 -t "$(nproc)" >/dev/null 2>&1 & pids+=($!)
  up "$theirs"
  servers+=("theirs $theirs")
fi
ask() { for server in "${servers[@]}"; do set -- "$@"; printf '%s ' "${server% *}"; "$bin/serve-load" "$1" "${server#* }" "${@:2}"; done; }
for _ in $(seq "$rounds"); do
  case "${ONLY:-all}" in
    health) ask health 8 "$seconds" ;;
    one) ask streams 1 "$tokens"; kill -STOP "${pids[@]}"; printf 'bench '
      "$bin/realizar-cli" bench "$model" -p 16 -n "$tokens" -b 1 -r 1 --json; kill -CONT "${pids[@]}" ;;
    many) ask streams 16 "$tokens" ;;
    *) ask health 8 "$seconds"; ask streams 1 "$tokens"; ask streams 16 "$tokens" ;;
  esac
done
