#!/usr/bin/env bash
# The score cards of all clients that have an adapter here:   tests/clients/score.sh [--bless | --docs] [CLIENT…]
#
# Builds the adapters and plays the short profile against each, two at a time; fails where a client has become worse than
# its baseline in tests/clients/baselines. --bless writes the baselines anew, with the table of two faults and then success.
# --docs measures everything and writes the tables in docs/SCORECARD.md.
#
# Wants cargo, Go, Python 3 and Node.js 20 with npm, and the package registries that they are configured for. What cannot
# be built for want of a tool is skipped loudly, with status 77. REHEARSAL_BIN is the binary; it is built where that is
# not set. Everything made here goes below the target directory of cargo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target="${CARGO_TARGET_DIR:-$PWD/target}"
[[ "$target" == /* ]] || target="$PWD/$target"
out="$target/score"
here=tests/clients
# Those that take longest first.
all=(python javascript kube-rs rehearsal client-go)
mode=check
clients=()
for word in "$@"; do
    case "$word" in
    --bless) mode=bless ;;
    --docs) mode=docs ;;
    -*) echo "unknown flag $word" >&2 && exit 2 ;;
    *) clients+=("$word") ;;
    esac
done
((${#clients[@]})) || clients=("${all[@]}")
mkdir -p "$out"

# need TOOL…: 77 where one is missing.
need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { echo "not on PATH: $tool" >&2 && return 77; }
    done
}

build_rehearsal() {
    need cargo || return
    cargo build --locked --quiet --example score_adapter
}

build_client-go() {
    need go || return
    (cd "$here/go" && go build -o "$out/client-go" ./cmd/score)
}

build_kube-rs() {
    need cargo || return
    CARGO_TARGET_DIR="$target/clients-rust" cargo build --locked --quiet --manifest-path "$here/rust/Cargo.toml" --bin score-kube-rs
}

# An environment is made anew when its lock file has changed.
build_python() {
    need python3 || return
    local lock="$here/python/requirements.txt"
    cmp --silent "$lock" "$out/python/lock" && return
    rm -rf "$out/python" && python3 -m venv "$out/python" || { echo "no virtual environment can be made" >&2 && return 77; }
    "$out/python/bin/python" -m pip install --quiet --require-hashes --requirement "$lock" && cp "$lock" "$out/python/lock"
}

build_javascript() {
    need node npm || return
    local lock="$here/javascript/package-lock.json" to="$out/javascript"
    mkdir -p "$to"
    cp "$here/javascript/score.js" "$to/"
    cmp --silent "$lock" "$to/package-lock.json" && [ -e "$to/done" ] && return
    rm -rf "$to/done" && cp "$here/javascript/package.json" "$lock" "$to/" &&
        (cd "$to" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) && touch "$to/done"
}

# command_of CLIENT: sets `command`.
command_of() {
    case "$1" in
    rehearsal) command=("$target/debug/examples/score_adapter") ;;
    rehearsal-improved) command=("$target/debug/examples/score_adapter" --improved) ;;
    client-go) command=("$out/client-go") ;;
    kube-rs) command=("$target/clients-rust/debug/score-kube-rs") ;;
    python) command=("$out/python/bin/python" "$here/python/score.py") ;;
    python-client-go-retries) command=("$out/python/bin/python" "$here/python/score.py" --client-go-retries) ;;
    javascript) command=(node "$out/javascript/score.js") ;;
    *) echo "no client $1" >&2 && return 2 ;;
    esac
}

# play CLIENT PROFILE FLAG…: the card goes to $out/CLIENT.PROFILE.json.
play() {
    local client="$1" profile="$2" command
    shift 2
    command_of "$client"
    "$binary" score --quiet --profile "$profile" --json "$out/$client.$profile.json" --junit "$out/$client.$profile.xml" "$@" \
        -- "${command[@]}" >"$out/$client.$profile.log" 2>&1
}

binary="${REHEARSAL_BIN:-}"
if [ -z "$binary" ]; then
    cargo build --locked --quiet --bin rehearsal
    binary="$target/debug/rehearsal"
fi

skipped=()
built=()
for client in "${clients[@]}"; do
    status=0
    "build_$client" || status=$?
    case $status in
    0) built+=("$client") ;;
    77) skipped+=("$client") ;;
    *) echo "the adapter of $client does not build" >&2 && exit 1 ;;
    esac
done

# Two at a time: most of the time is waiting, but interpreters need a while to start.
failed=()
declare -A running=()
# Waits for one of them.
finish() {
    local done_id client status=0
    wait -n -p done_id "${!running[@]}" || status=$?
    client="${running[$done_id]}"
    unset "running[$done_id]"
    printf '%s: ' "$client" && cat "$out/$client.$1.log"
    ((status == 0)) || failed+=("$client")
}

run_all() {
    local profile="$1" client flags
    shift
    for client in "$@"; do
        flags=()
        [ "$mode" = docs ] || flags=(--baseline "$here/baselines/$client.$profile.json")
        [ "$mode" = bless ] && flags+=(--bless)
        play "$client" "$profile" "${flags[@]}" &
        running[$!]="$client"
        ((${#running[@]} < 2)) || finish "$profile"
    done
    while ((${#running[@]})); do finish "$profile"; done
    # What looks worse once may be a machine that was busy: it has to look worse twice, the second time alone.
    local again=("${failed[@]}")
    failed=()
    for client in "${again[@]}"; do
        flags=()
        [ "$mode" = docs ] || flags=(--baseline "$here/baselines/$client.$profile.json")
        echo "$client again, by itself"
        play "$client" "$profile" "${flags[@]}" &
        running[$!]="$client"
        finish "$profile"
    done
}

more=()
for client in "${built[@]}"; do
    case "$client" in
    rehearsal) more+=(rehearsal-improved) ;;
    python) more+=(python-client-go-retries) ;;
    esac
done
case "$mode" in
check) run_all short "${built[@]}" ;;
bless) run_all short "${built[@]}" && run_all table9 "${built[@]}" ;;
docs)
    run_all full "${built[@]}" "${more[@]}" || true
    run_all table9 "${built[@]}" "${more[@]}" || true
    failed=() # A client that is not safe is a finding, not a failure.
    cards=()
    for profile in full table9; do
        for client in rehearsal rehearsal-improved client-go kube-rs python python-client-go-retries javascript; do
            [ -e "$out/$client.$profile.json" ] && cards+=(--merge "$out/$client.$profile.json")
        done
    done
    "$binary" score "${cards[@]}" --markdown "$out/measured.md"
    python3 - "$out/measured.md" docs/SCORECARD.md <<'PY'
import sys
measured, document = (open(path, encoding="utf-8").read() for path in sys.argv[1:3])
begin, end = "<!-- measured -->\n", "<!-- end of measured -->"
head, rest = document.split(begin, 1)
open(sys.argv[2], "w", encoding="utf-8").write(head + begin + measured.rstrip() + "\n" + end + rest.split(end, 1)[1])
PY
    ;;
esac

if ((${#failed[@]})); then
    printf 'worse than before: %s\n' "${failed[@]}"
    exit 1
fi
if ((${#skipped[@]})); then
    printf 'not measured: %s\n' "${skipped[@]}"
    exit 77
fi
