#!/usr/bin/env bash
# Shows the ruler with the real programs: an alert fires, is seen with amtool and ends; a recorded series
# is written to Prometheus and asked for there; promtool has nothing to say against our metrics.
#
# Needs timberline (TIMBERLINE=path, or on PATH), prometheus-alertmanager (or alertmanager), amtool, prometheus,
# promtool and curl. Everything is in a temporary directory and on ports of its own, and gone at the end.
set -euo pipefail

find_program() {
  local name
  for name in "$@"; do
    command -v "$name" && return
  done
  echo "none of these is on PATH: $*" >&2
  return 1
}

timberline=$(realpath "${TIMBERLINE:-$(find_program timberline)}")
alertmanager=$(find_program prometheus-alertmanager alertmanager)
prometheus=$(find_program prometheus)
amtool=$(find_program amtool)
promtool=$(find_program promtool)

directory=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$directory"
}
trap finish EXIT

base=${PORT_BASE:-$((20000 + RANDOM % 20000))}
here=127.0.0.1:$base am=127.0.0.1:$((base + 1)) prom=127.0.0.1:$((base + 2))

# Tries a command until it succeeds, for a minute.
until_done() {
  local what=$1
  shift
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && { echo "ok: $what"; return; }
    sleep 0.2
  done
  echo "not in a minute: $what" >&2
  tail -n 5 "$directory"/*.log >&2
  exit 1
}

cd "$directory"
cat > am.yaml <<'END'
route: {receiver: none, group_wait: 0s, group_interval: 1s}
receivers: [{name: none}]
END
echo '{}' > prom.yaml
cat > timberline.yaml <<END
server: {listen: "$here"}
data_dir: $directory/data
ruler:
  enabled: true
  evaluation_interval: 500ms
  resend_delay: 1s
  alertmanager_urls: ["http://$am"]
  remote_write: [{url: "http://$prom/api/v1/write"}]
  external_labels: {site: demo}
END

"$alertmanager" --config.file=am.yaml --storage.path=am --web.listen-address="$am" --cluster.listen-address= >am.log 2>&1 &
pids+=($!)
"$prometheus" --config.file=prom.yaml --storage.tsdb.path=prom --web.listen-address="$prom" --web.enable-remote-write-receiver >prom.log 2>&1 &
pids+=($!)
"$timberline" serve --config timberline.yaml >timberline.log 2>&1 &
pids+=($!)
until_done "timberline is up" curl -sf "http://$here/ready"
until_done "the Alertmanager is up" curl -sf "http://$am/-/ready"
until_done "Prometheus is up" curl -sf "http://$prom/-/ready"

cat > group.yaml <<'END'
name: demo
rules:
  - record: app:errors:count
    expr: sum by (app) (count_over_time({job="demo"} |= "error" [1h]))
  - alert: Errors
    expr: sum by (app) (count_over_time({job="demo"} |= "error" [1h])) unless sum by (app) (count_over_time({job="demo"} |= "well" [1h]))
    for: 1s
    labels: {severity: page}
    annotations: {summary: '{{ $labels.app }} has {{ $value }} errors'}
END
curl -sf --data-binary @group.yaml "http://$here/loki/api/v1/rules/demo" >/dev/null

push() {
  curl -sf -H 'Content-Type: application/json' "http://$here/loki/api/v1/push" \
    -d "{\"streams\":[{\"stream\":{\"job\":\"demo\",\"app\":\"cart\"},\"values\":[[\"$(date +%s%N)\",\"$1\"]]}]}"
}
has_alert() { "$amtool" alert query --alertmanager.url="http://$am" -o extended Errors | grep -q 'cart has 1 errors'; }
has_no_alert() { ! has_alert; }
has_sample() {
  curl -sf -G "http://$prom/api/v1/query" --data-urlencode 'query=app:errors:count{app="cart",site="demo"}' | grep -q '"1"\]'
}
has_alerts_series() {
  curl -sf -G "http://$prom/api/v1/query" --data-urlencode 'query=last_over_time(ALERTS{alertname="Errors",alertstate="firing"}[5m])' | grep -q '"1"\]'
}

push 'level=error payment failed'
until_done "the alert fires, and amtool sees it" has_alert
until_done "Prometheus has the recorded series" has_sample
until_done "Prometheus has ALERTS" has_alerts_series
push 'all is well'
until_done "the alert has ended" has_no_alert

curl -sf "http://$here/metrics" >metrics.txt
"$promtool" check metrics <metrics.txt
echo "ok: promtool has nothing to say against the metrics"
