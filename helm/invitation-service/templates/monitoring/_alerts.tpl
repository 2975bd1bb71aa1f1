{{/*
The alerts: each is about something that somebody has to do, and docs/operations.md says what under its name. Written as a YAML list of
{alert, severity, for, expr, summary}; prometheusrule.yaml adds labels and links. `$s` selects the metrics of this release.
*/}}

{{/*
A counter that has grown. A series that begins with its first event grows from nothing, which increase() does not see.
Call with (dict "metric" NAME{LABELS} "window" "10m").
*/}}
{{- define "invitation-service.grown" -}}
increase({{ .metric }}[{{ .window }}]) > 0 or ({{ .metric }} > 0 unless {{ .metric }} offset {{ .window }})
{{- end }}

{{- define "invitation-service.selector" -}}
namespace="{{ .Release.Namespace }}",job="{{ include "invitation-service.fullname" . }}-admin"
{{- end }}

{{/* The share of calls that failed by a fault of the service or of what it depends on, for the alerts of the error budget. */}}
{{- define "invitation-service.recordings" -}}
{{- $s := include "invitation-service.selector" . }}
{{- range $window := list "5m" "30m" "1h" "6h" }}
- record: invitation:call_errors:ratio_rate{{ $window }}
  expr: |-
    sum by (namespace, job) (rate(rpc_server_call_duration_seconds_count{ {{- $s }},rpc_response_status_code=~"UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL|UNKNOWN|DATA_LOSS"}[{{ $window }}]))
    / sum by (namespace, job) (rate(rpc_server_call_duration_seconds_count{ {{- $s }}}[{{ $window }}]))
{{- end }}
{{- end }}

{{- define "invitation-service.alertsOfCalls" -}}
{{- $s := include "invitation-service.selector" . }}
{{- $t := .Values.monitoring.thresholds }}
{{- $budget := divf (subf 100 (float64 $t.availability)) 100 }}
- alert: InvitationServiceDown
  severity: critical
  for: 3m
  expr: absent(up{ {{- $s }}} == 1)
  summary: Prometheus reaches no pod of the invitation service.
- alert: InvitationServicePodDown
  severity: warning
  for: 10m
  expr: up{ {{- $s }}} == 0
  summary: "Prometheus does not reach {{ "{{ $labels.pod }}" }}."
- alert: InvitationServiceUnavailable
  severity: critical
  for: 2m
  expr: max(invitation_ready{ {{- $s }}}) == 0
  summary: No pod is ready, so no call is answered.
- alert: InvitationServiceNotReady
  severity: warning
  for: 10m
  expr: invitation_ready{ {{- $s }}} == 0
  summary: "{{ "{{ $labels.pod }}" }} runs and has not been ready for 10 minutes."
- alert: InvitationServiceRestarts
  severity: warning
  for: 0m
  expr: changes(process_start_time_seconds{ {{- $s }}}[30m]) > 2
  summary: "{{ "{{ $labels.pod }}" }} has been started {{ "{{ $value }}" }} times anew within 30 minutes."
- alert: InvitationServiceVersions
  severity: warning
  for: 1h
  expr: count(count by (version) (invitation_build_info{ {{- $s }}})) > 1
  summary: Pods of two releases have been running for an hour, so an update hangs.
- alert: InvitationServiceErrorsFast
  severity: critical
  for: 2m
  expr: |-
    invitation:call_errors:ratio_rate1h{ {{- $s }}} > {{ mulf 14.4 $budget | printf "%.6g" }}
    and invitation:call_errors:ratio_rate5m{ {{- $s }}} > {{ mulf 14.4 $budget | printf "%.6g" }}
  summary: "{{ "{{ $value | humanizePercentage }}" }} of the calls fail, which uses up a month's error budget in two days."
- alert: InvitationServiceErrorsSlow
  severity: warning
  for: 15m
  expr: |-
    invitation:call_errors:ratio_rate6h{ {{- $s }}} > {{ mulf 6 $budget | printf "%.6g" }}
    and invitation:call_errors:ratio_rate30m{ {{- $s }}} > {{ mulf 6 $budget | printf "%.6g" }}
  summary: "{{ "{{ $value | humanizePercentage }}" }} of the calls fail, which uses up a month's error budget in five days."
- alert: InvitationServiceSlow
  severity: warning
  for: 15m
  expr: |-
    histogram_quantile(0.99, sum by (namespace, job, le) (rate(rpc_server_call_duration_seconds_bucket{ {{- $s }},rpc_method!~".*/(WatchEvents|Batch.*|Export.*|Erase.*)"}[10m]))) > {{ $t.latencySeconds }}
  summary: "One call in a hundred takes longer than {{ "{{ $value | humanizeDuration }}" }}."
- alert: InvitationServiceCredentialsRefused
  severity: warning
  for: 10m
  expr: |-
    sum by (namespace, job) (rate(rpc_server_call_duration_seconds_count{ {{- $s }},rpc_response_status_code="UNAUTHENTICATED"}[5m])) > {{ $t.refusedCredentials }}
  summary: "{{ "{{ $value | humanize }}" }} calls a second have no valid credential."
- alert: InvitationServiceLimitsRefuse
  severity: info
  for: 15m
  expr: |-
    sum by (namespace, job, reason) (rate(invitation_calls_refused_total{ {{- $s }},reason=~"RATE_LIMITED|QUOTA_EXCEEDED|MESSAGE_TOO_LARGE"}[10m])) > 1
  summary: "{{ "{{ $value | humanize }}" }} calls a second are refused with {{ "{{ $labels.reason }}" }}."
{{- end }}

{{- define "invitation-service.alertsOfStore" -}}
{{- $s := include "invitation-service.selector" . }}
{{- $t := .Values.monitoring.thresholds }}
- alert: InvitationServiceDatabaseConnections
  severity: warning
  for: 15m
  expr: |-
    sum without (state) (invitation_database_connections{ {{- $s }},state="busy"})
    / invitation_database_connections_max{ {{- $s }}} > {{ divf $t.databaseConnections 100 }}
  summary: "{{ "{{ $value | humanizePercentage }}" }} of the connections of the pool {{ "{{ $labels.pool }}" }} in {{ "{{ $labels.pod }}" }} are busy."
{{- /* A rotation of the password may refuse a login or two. Refusals that go on come at least every 30 seconds. */}}
- alert: InvitationServiceDatabaseLogins
  severity: critical
  for: 5m
  expr: {{ include "invitation-service.grown" (dict "metric" (printf "invitation_database_login_refusals_total{%s}" $s) "window" "2m") }}
  summary: "The database refuses logins of {{ "{{ $labels.pod }}" }}."
- alert: InvitationServiceCommandsWait
  severity: warning
  for: 5m
  expr: invitation_executor_waiting{ {{- $s }}} > {{ $t.executorWaiting }}
  summary: "{{ "{{ $value }}" }} commands wait in {{ "{{ $labels.pod }}" }}."
- alert: InvitationServiceEventsLag
  severity: warning
  for: 5m
  expr: max by (namespace, job) (invitation_events_lag_seconds{ {{- $s }}}) > {{ $t.eventsLagSeconds }}
  summary: "Committed events have waited {{ "{{ $value | humanizeDuration }}" }} for their place in the order."
- alert: InvitationServiceFollowerLag
  severity: warning
  for: 5m
  expr: max by (namespace, job, follower) (invitation_follower_lag_seconds{ {{- $s }}}) > {{ $t.followerLagSeconds }}
  summary: "The follower {{ "{{ $labels.follower }}" }} is behind the events by {{ "{{ $value | humanizeDuration }}" }}."
- alert: InvitationServiceClockOffset
  severity: warning
  for: 10m
  expr: abs(invitation_database_clock_offset_seconds{ {{- $s }}}) > 5
  summary: "The clocks of {{ "{{ $labels.pod }}" }} and of the database differ by {{ "{{ $value | humanizeDuration }}" }}."
- alert: InvitationServiceStandbyUnused
  severity: warning
  for: 10m
  expr: invitation_standby_in_use{ {{- $s }}} == 0
  summary: "{{ "{{ $labels.pod }}" }} reads nothing from the standby, so the primary answers everything."
{{- with include "invitation-service.migrationJob" . }}
{{- $job := printf "namespace=\"%s\",job_name=~\"%s-migrate.*\"" $.Release.Namespace (include "invitation-service.fullname" $) }}
- alert: InvitationServiceMigrationFailed
  severity: critical
  for: 0m
  expr: |-
    max by (namespace, job_name) (kube_job_status_failed{ {{- $job }}} > 2)
    or max by (namespace, job_name) (kube_job_failed{ {{- $job }},condition="true"}) > 0
  summary: "The migration {{ "{{ $labels.job_name }}" }} fails again and again, or has failed for good."
{{- end }}
{{- if eq .Values.store.backend "sqlite" }}
- alert: InvitationServiceDiskFull
  severity: critical
  for: 5m
  expr: |-
    kubelet_volume_stats_available_bytes{namespace="{{ .Release.Namespace }}",persistentvolumeclaim="{{ include "invitation-service.claimName" . }}"}
    / kubelet_volume_stats_capacity_bytes < 0.1
  summary: "{{ "{{ $value | humanizePercentage }}" }} of the volume of the database are left."
{{- end }}
{{- end }}

{{- define "invitation-service.alertsOfDelivery" -}}
{{- $s := include "invitation-service.selector" . }}
{{- $t := .Values.monitoring.thresholds }}
- alert: InvitationServiceQueueStuck
  severity: critical
  for: 5m
  expr: max by (namespace, job, queue) (invitation_queue_oldest_due_seconds{ {{- $s }}}) > {{ $t.queueSeconds }}
  summary: "The oldest message of the queue {{ "{{ $labels.queue }}" }} has been due for {{ "{{ $value | humanizeDuration }}" }}."
- alert: InvitationServiceMailPaused
  severity: warning
  for: 15m
  expr: |-
    sum by (namespace, job) (increase(invitation_delivery_attempts_total{ {{- $s }},queue="mail",result="paused"}[15m])) > 0
    unless sum by (namespace, job) (increase(invitation_delivery_attempts_total{ {{- $s }},queue="mail",result="sent"}[15m])) > 0
  summary: The mail server has taken no message for half an hour.
- alert: InvitationServiceDeliveriesFail
  severity: warning
  for: 15m
  expr: |-
    100 * sum by (namespace, job, queue) (increase(invitation_delivery_attempts_total{ {{- $s }},result="failed"}[1h]))
    / sum by (namespace, job, queue) (increase(invitation_delivery_attempts_total{ {{- $s }},result=~"sent|failed"}[1h])) > {{ $t.deliveryFailures }}
    and sum by (namespace, job, queue) (increase(invitation_delivery_attempts_total{ {{- $s }},result="failed"}[1h])) > 3
  summary: "{{ "{{ $value | humanize }}" }} % of the messages of the queue {{ "{{ $labels.queue }}" }} were given up."
{{- end }}

{{- define "invitation-service.alertsOfProcess" -}}
{{- $s := include "invitation-service.selector" . }}
{{- $t := .Values.monitoring.thresholds }}
- alert: InvitationServiceReloadFailed
  severity: warning
  for: 1m
  expr: invitation_file_usable{ {{- $s }}} == 0
  summary: "{{ "{{ $labels.pod }}" }} cannot use the changed file of {{ "{{ $labels.file }}" }}."
- alert: InvitationServiceTaskFails
  severity: warning
  for: 10m
  expr: |-
    increase(invitation_task_failures_total{ {{- $s }}}[10m]) > 10
    unless on (namespace, job, pod) invitation_ready{ {{- $s }}} == 0
  summary: "The task {{ "{{ $labels.task }}" }} in {{ "{{ $labels.pod }}" }} goes on failing."
- alert: InvitationServiceApiKeyExpires
  severity: info
  for: 1h
  expr: min by (namespace, job) (invitation_api_key_expiry_timestamp_seconds{ {{- $s }}}) - time() < {{ mul (int $t.apiKeyDays) 86400 }}
  summary: "An API key that is in use ends in {{ "{{ $value | humanizeDuration }}" }}."
- alert: InvitationServiceJwksOld
  severity: warning
  for: 5m
  expr: invitation_jwks_age_seconds{ {{- $s }}} > 3600
  summary: "{{ "{{ $labels.pod }}" }} has not fetched the keys of a JWT issuer for {{ "{{ $value | humanizeDuration }}" }}."
- alert: InvitationServiceCertificateExpires
  severity: critical
  for: 1h
  expr: invitation_certificate_expiry_timestamp_seconds{ {{- $s }}} - time() < {{ mul (int $t.certificateDays) 86400 }}
  summary: "The certificate that {{ "{{ $labels.pod }}" }} serves ends in {{ "{{ $value | humanizeDuration }}" }}."
- alert: InvitationServiceLogLinesDropped
  severity: warning
  for: 5m
  expr: {{ include "invitation-service.grown" (dict "metric" (printf "invitation_log_lines_dropped_total{%s}" $s) "window" "2m") }}
  summary: "{{ "{{ $labels.pod }}" }} drops lines of its log."
{{- with dig "limits" "memory" "" .Values.resources }}
- alert: InvitationServiceMemory
  severity: warning
  for: 10m
  expr: process_resident_memory_bytes{ {{- $s }}} > {{ mulf (include "invitation-service.bytes" . | float64) $t.memory 0.01 | int64 }}
  summary: "{{ "{{ $labels.pod }}" }} takes {{ "{{ $value | humanize1024 }}" }}B of its {{ . }} of memory."
{{- end }}
- alert: InvitationServiceOpenFiles
  severity: warning
  for: 10m
  expr: process_open_fds{ {{- $s }}} / process_max_fds{ {{- $s }}} > 0.8
  summary: "{{ "{{ $labels.pod }}" }} has {{ "{{ $value | humanizePercentage }}" }} of the files open that it may."
{{- end }}
