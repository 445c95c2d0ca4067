#!/bin/sh
# translate.sh [--url URL] [--overwrite yes] MODEL PICTURE FILE
# Writes what a translator makes of a PNG file, where there is no file yet. Needs curl, base64 and any POSIX system.
set -eu

fail() {
    echo "translate.sh: $*" >&2
    exit 1
}

is_number() { # digits, and one dot where $2 says so
    printf '%s' "$1" | grep -Eq "$2"
}

url=http://127.0.0.1:8000 overwrite=''
while [ $# -gt 3 ]; do
    case $1 in
    --url) url=${2%/} ;;
    --overwrite) overwrite=$2 ;;
    *) break ;;
    esac
    shift 2
done
[ $# -eq 3 ] || fail 'usage: translate.sh [--url URL] [--overwrite yes] MODEL PICTURE FILE'
model=$1 picture=$2 file=$3
is_number "$model" '^[A-Za-z0-9_][A-Za-z0-9_.-]*$' || fail "'$model' is not a model's name"
[ -f "$picture" ] && [ -r "$picture" ] || fail "$picture is not a file that can be read"

if [ "$overwrite" != yes ] && { [ -e "$file" ] || [ -L "$file" ]; }; then
    fail "$file is there: choose another file, or give --overwrite yes"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# JSON has no bytes, so the picture goes as text; the answer may come as it is.
{
    printf '{"inputs": [{"name": "base64", "shape": [1, 1], "datatype": "BYTES", "data": ["'
    base64 <"$picture" | tr -d '\n'
    printf '"]}], "outputs": [{"name": "png", "parameters": {"binary_data": true}}]}'
} >"$work/asked"
# A proxy knows nothing of this machine.
status=$(curl --silent --noproxy "localhost,127.0.0.1,::1,${no_proxy:-}" --max-time 60 --header 'Content-Type: application/json' \
    --header 'Expect:' --data-binary "@$work/asked" \
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
