#!/bin/sh
# asset.sh [--label CLASS] [--truncation NUMBER] [--url URL] [--overwrite yes] MODEL SEED FILE
# Writes the PNG file of a seed, where there is no file yet. Needs curl and what any POSIX system has.
set -eu

fail() {
    echo "asset.sh: $*" >&2
    exit 1
}

is_number() { # digits, and one dot where $2 says so
    printf '%s' "$1" | grep -Eq "$2"
}

url=http://127.0.0.1:8000 label='' truncation='' overwrite=''
while [ $# -gt 3 ]; do
    case $1 in
    --label) label=$2 ;;
    --truncation) truncation=$2 ;;
    --url) url=${2%/} ;;
    --overwrite) overwrite=$2 ;;
    *) break ;;
    esac
    shift 2
done
[ $# -eq 3 ] || fail 'usage: asset.sh [--label CLASS] [--truncation NUMBER] [--url URL] [--overwrite yes] MODEL SEED FILE'
model=$1 seed=$2 file=$3
is_number "$seed" '^[0-9]{1,10}$' || fail "'$seed' is not a seed: give a number from 0 to 4294967295"
is_number "$model" '^[A-Za-z0-9_][A-Za-z0-9_.-]*$' || fail "'$model' is not a model's name"

if [ "$overwrite" != yes ] && { [ -e "$file" ] || [ -L "$file" ]; }; then
    fail "$file is there: choose another file, or give --overwrite yes"
fi

inputs="{\"name\": \"seed\", \"shape\": [1, 1], \"datatype\": \"INT64\", \"data\": [$seed]}"
if [ "$label" ]; then
    named=$(printf '%s' "$label" | sed 's/[\\"]/\\&/g') # as JSON has it
    inputs="$inputs, {\"name\": \"class\", \"shape\": [1, 1], \"datatype\": \"BYTES\", \"data\": [\"$named\"]}"
fi
if [ "$truncation" ]; then
    is_number "$truncation" '^[0-9]+([.][0-9]+)?$' || fail "'$truncation' is not a truncation: give a number such as 0.7"
    inputs="$inputs, {\"name\": \"truncation\", \"shape\": [1, 1], \"datatype\": \"FP32\", \"data\": [$truncation]}"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# As text, the bytes of a file would be taken for characters: ask for them as they are.
# And a proxy knows nothing of this machine.
status=$(curl --silent --noproxy "localhost,127.0.0.1,::1,${no_proxy:-}" --max-time 60 --header 'Content-Type: application/json' \
    --data "{\"inputs\": [$inputs], \"outputs\": [{\"name\": \"png\", \"parameters\": {\"binary_data\": true}}]}" \
    --dump-header "$work/head" --output "$work/body" --write-out '%{http_code}' \
    "$url/v2/models/${model}_png/infer") || fail "no server answers at $url: start one with 'serve'"
if [ "$status" != 200 ]; then
    fail "$(sed -n 's/^{"error": *"\(.*\)"}.*/\1/p' "$work/body" | grep . || echo "the server answered $status")"
fi

# The body is JSON, as long as a header says, then the length of the file in four bytes, then the file.
json=$(tr -d '\r' <"$work/head" | sed -n 's/^[Ii]nference-[Hh]eader-[Cc]ontent-[Ll]ength: *//p')
is_number "$json" '^[0-9]{1,9}$' || fail "$url did not answer as a Triton server does"
tail -c "+$((json + 5))" "$work/body" >"$work/png"
[ "$(dd if="$work/png" bs=1 skip=1 count=3 2>/dev/null)" = PNG ] || fail "$url did not answer with a PNG file"
mv "$work/png" "$file" || fail "$file cannot be written"
