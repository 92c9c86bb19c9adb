#!/usr/bin/env bash
# Checks what is in this directory against a binary: the rules and their unit tests, the queries of Grafana's rules and
# dashboard, and each configuration with a server that takes lines of every stand, finds them again and fires an alert, and is loaded a bit.
#
# Usage: check.sh TIMBERLINE [PORT]
# Needs bash, curl and sed. Everything is in a temporary directory, and gone at the end. Without PORT the server takes a free one.
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: $0 TIMBERLINE [PORT]" >&2; exit 2; }
timberline=$(realpath "$1")
port=${2:-0}
cd "$(dirname "$0")"
stands=(develop test staging production)

work=$(mktemp -d)
pid=
finish() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

fail() {
  echo "failed: $1" >&2
  [ ! -f "$work/log" ] || tail -n 20 "$work/log" >&2
  exit 1
}

# Tries a command until it succeeds, for a minute.
until_done() {
  local what=$1
  shift
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then
      echo "ok: $what"
      return
    fi
    [ -z "$pid" ] || kill -0 "$pid" 2>/dev/null || fail "the server ended before: $what"
    sleep 0.2
  done
  fail "not in a minute: $what"
}

"$timberline" rules check rules/*/*.yaml
"$timberline" rules test rules_test/*.yaml

# The rules as they are, but evaluated every second.
for stand in "${stands[@]}"; do
  mkdir -p "$work/rules/$stand"
  for file in "rules/$stand"/*.yaml; do
    sed 's/^\( *interval:\) .*/\1 1s/' "$file" >"$work/$file"
  done
done

# Finds the address that the server listens on, which it tells in its log.
listens() {
  address=$(sed -n "s/\x1b\[[0-9;]*m//g; s/.* ready address=\([0-9.]*:[0-9]*\).*/\1/p" "$work/log" | head -n 1)
  [ -n "$address" ] && curl -sf "http://$address/ready"
}

ask() {
  local stand=$1 path=$2
  shift 2
  curl -sfG -H "X-Scope-OrgID: $stand" "http://$address$path" "$@"
}

# Twenty-five crashes, which is more than any stand puts up with, and each a line of its own.
push() {
  local stand=$1 now values=() index
  now=$(date +%s)
  for index in $(seq 25); do
    values+=("[\"$((now - index))000000000\",\"level=error panicked at $stand, no. $index\"]")
  done
  curl -sf -H "X-Scope-OrgID: $stand" -H 'Content-Type: application/json' "http://$address/loki/api/v1/push" \
    -d "{\"streams\":[{\"stream\":{\"job\":\"applications\",\"app\":\"shop\",\"env\":\"$stand\"},\"values\":[$(IFS=,; echo "${values[*]}")]}]}"
}

finds_lines() {
  ask "$1" /loki/api/v1/query --data-urlencode 'query=sum(count_over_time({app="shop", env="'"$1"'"} | detected_level="error" [5m]))' | grep -q '"25"'
}

# Another stand's lines are not there.
finds_no_others() {
  ask "$1" /loki/api/v1/query --data-urlencode 'query=sum(count_over_time({app="shop", env!="'"$1"'"}[5m]))' | grep -q '"result":\[\]'
}

# Panics have no `for`: the alert fires as soon as it is there.
fires() {
  ask "$1" /prometheus/api/v1/alerts >"$work/answer"
  grep -q '"alertname":"Panics"' "$work/answer" && grep -q '"state":"firing"' "$work/answer"
}

# All rules have been evaluated, none in vain.
all_are_well() {
  ask "$1" /prometheus/api/v1/rules >"$work/answer"
  ! grep -q '"health":"\(unknown\|err\)"' "$work/answer" && grep -q '"health":"ok"' "$work/answer"
}

# The queries of a file of Grafana's, one a line: what follows `expr`, joined where it takes several lines.
# shellcheck disable=SC2016 # the dollar signs are Grafana's
queries() {
  sed -n '
    /^ *expr: |$/ { s/.*//; :more; N; s/\n  */ /; /- refId/! b more; s/ *- refId.*//; p; b; }
    s/^ *expr: '\''\(.*\)'\''$/\1/p
    s/^ *"expr": "\(.*\)",\{0,1\}$/\1/p
  ' "$1" | sed 's/\\"/"/g; s/\$__auto/1m/g; s/\$__range/1h/g; s/\$app/.+/g'
}

check_configuration() {
  local stand query count=0
  # Nothing but the machine's own is changed: where it listens, where files are, and nobody is told of alerts.
  TIMBERLINE_RULER_RULE_PATH="$work/rules" TIMBERLINE_RULER_ALERTMANAGER_URLS='[]' \
    "$timberline" serve --config "$1" --listen "127.0.0.1:$port" --data-dir "$work/data" >"$work/log" 2>&1 &
  pid=$!
  until_done "$1: the server is up" listens
  for stand in "${stands[@]}"; do
    push "$stand" || fail "$stand: a push"
    until_done "$stand: all lines are found" finds_lines "$stand"
    until_done "$stand: no other stand's are" finds_no_others "$stand"
    until_done "$stand: an alert fires" fires "$stand"
    until_done "$stand: all rules are evaluated" all_are_well "$stand"
  done
  for file in grafana/provisioning/alerting/*.yaml grafana/dashboards/*.json; do
    while read -r query; do
      ask production /loki/api/v1/query_range --data-urlencode "query=$query" --data-urlencode step=60 >/dev/null || fail "$file: $query"
      count=$((count + 1))
    done < <(queries "$file")
  done
  [ "$count" -gt 0 ] || fail "no queries of Grafana's"
  echo "ok: $count queries of Grafana's are answered"
  "$timberline" bench --addr "http://$address" --tenant staging --rate 500 --duration 2s --connections 2 --batch 100 --queries 1 \
    >"$work/bench" || fail "the load"
  grep -q 'LINES/s' "$work/bench" || fail "the load says nothing"
  echo "ok: a load of two seconds"
  ! grep -E 'WARN|ERROR' "$work/log" || fail "$1: warnings"
  kill "$pid"
  wait "$pid" || fail "$1: the server did not stop as it should"
  pid=
  echo "ok: $1: no warnings, and a clean stop"
  rm -rf "$work/data" "$work/log"
}

for file in *.yaml; do
  # promtail.yaml is not for Timberline.
  grep -q '^auth_enabled:' "$file" || continue
  check_configuration "$file"
done
