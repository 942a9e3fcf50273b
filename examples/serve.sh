#!/usr/bin/env bash
# A song in another style over HTTP. In another terminal: audiotransfer serve
#
#   bash examples/serve.sh 'http://127.0.0.1:PORT/?token=TOKEN' song.mp3 jazz
#
# Needs curl, and python3 to read JSON.
set -euo pipefail
page=$1 song=$2 style=$3
base=${page%%/\?*} token=${page##*token=}

ask() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer $token" "$@"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# The file is the body of the request; its name is only for messages and downloads.
name=$(python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1]))' "${song##*/}")
uploaded=$(ask --data-binary "@$song" -H "Content-Type: application/octet-stream" \
    "$base/api/songs?name=$name")
id=$(field id <<<"$uploaded")

# Fields of the request are options of the command line; MIDI files stay whole.
preview=true
[[ $(field kind <<<"$uploaded") == audio ]] || preview=false
job=$(ask -H "Content-Type: application/json" \
    -d "{\"song\": \"$id\", \"style\": \"$style\", \"preview\": $preview}" "$base/api/jobs" | field id)

# Each event is the state of the job; the stream ends with it.
ask --no-buffer "$base/api/jobs/$job/events" | while read -r line; do
    [[ $line == data:* ]] || continue
    state=$(field state <<<"${line#data: }")
    echo "$state $(field stage <<<"${line#data: }") $(field share <<<"${line#data: }")" >&2
    [[ $state != failed ]] || { field error <<<"${line#data: }" >&2; exit 1; }
done

ask "$base/api/jobs/$job/result/mix" -o "preview.$style.wav"
ask "$base/api/jobs/$job/result/all" -o "preview.$style.zip"
echo "preview.$style.wav preview.$style.zip"
