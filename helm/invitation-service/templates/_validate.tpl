{{/*
What the schema cannot say, because it concerns several values at once. Each part returns a YAML list of complaints; all are made together.
*/}}

{{- define "invitation-service.validateSecrets" -}}
{{- $complaints := list }}
{{- $sqlite := eq .Values.store.backend "sqlite" }}
{{- $nameless := list }}
{{- range $migration := list false true }}
{{- range $file, $item := include "invitation-service.usedSecrets" (dict "root" $ "migration" $migration) | fromYaml }}
{{- if and (not (hasKey $item "configMap")) (not $item.secret) }}
{{- $nameless = append $nameless $item.key }}
{{- end }}
{{- end }}
{{- end }}
{{- with $nameless | uniq | sortAlpha }}
{{- $complaints = append $complaints (printf "existingSecret.name is required: with store.backend=%s, name a Secret that has the keys %s, or give those of `secrets` names of their own" $.Values.store.backend (join ", " .)) }}
{{- end }}
{{- if and $sqlite (not .Values.secrets.apiKeys.key) }}
{{- $complaints = append $complaints "secrets.apiKeys.key is required with store.backend=sqlite: the first key of its database cannot be made while the pod has the file" }}
{{- end }}
{{- if and .Values.store.ca.secretName .Values.store.ca.configMapName }}
{{- $complaints = append $complaints "store.ca has a secretName and a configMapName: one file can come from one of them" }}
{{- end }}
{{- if and .Values.secrets.mailUrl.key (not (dig "links" "allow_localhost" false .Values.config)) }}
{{- if not (dig "mail" "from" "" .Values.config) }}
{{- $complaints = append $complaints "config.mail.from is required with secrets.mailUrl: people would get mail from invitation@localhost" }}
{{- end }}
{{- range $kind := list "connection" "user" "guest" "general" }}
{{- $link := dig "links" $kind "http://localhost" $.Values.config }}
{{- if regexMatch "^https?://(localhost|127\\.[0-9.]+|\\[::1\\])([:/?]|$)" $link }}
{{- $complaints = append $complaints (printf "config.links.%s is required with secrets.mailUrl: people would get links to localhost" $kind) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $complaints }}
{{- end }}

{{- define "invitation-service.validateStore" -}}
{{- $complaints := list }}
{{- $sqlite := eq .Values.store.backend "sqlite" }}
{{- $onStart := dig "store" "migrate_on_start" "auto" .Values.config | toString }}
{{- if $sqlite }}
{{- if gt (include "invitation-service.replicas" . | int) 1 }}
{{- $complaints = append $complaints "store.backend=sqlite allows one replica: the database is a file with one writer. Set replicas to 1, or use PostgreSQL" }}
{{- end }}
{{- if .Values.autoscaling.enabled }}
{{- $complaints = append $complaints "autoscaling.enabled needs store.backend=postgres: a SQLite file has one writer" }}
{{- end }}
{{- if ne (.Values.strategy.type | default "Recreate") "Recreate" }}
{{- $complaints = append $complaints "store.backend=sqlite needs strategy.type=Recreate: two pods must not open one file" }}
{{- end }}
{{- if eq $onStart "false" }}
{{- $complaints = append $complaints "store.backend=sqlite migrates when it starts: config.store.migrate_on_start must not be false, no Job would do it" }}
{{- end }}
{{- if gt (dig "store" "lanes" 1 .Values.config | int) 1 }}
{{- $complaints = append $complaints "store.backend=sqlite has exactly one lane: leave config.store.lanes out" }}
{{- end }}
{{- else }}
{{- if and (eq $onStart "true") (ne .Values.migration.mode "onStart") }}
{{- $complaints = append $complaints "config.store.migrate_on_start=true beside a Job migrates twice: set migration.mode=onStart and leave it out" }}
{{- end }}
{{- $pool := dig "store" "max_connections" 16 .Values.config | int }}
{{- $lanes := dig "store" "lanes" "auto" .Values.config | toString }}
{{- if and (ne $lanes "auto") (le $pool (int $lanes)) }}
{{- $complaints = append $complaints (printf "config.store.max_connections (%d) must exceed config.store.lanes (%d)" $pool (int $lanes)) }}
{{- end }}
{{- $pooled := eq (dig "store" "pooler" "none" .Values.config) "transaction" }}
{{- if not (or $pooled (kindIs "invalid" .Values.store.serverConnections)) }}
{{- $most := include "invitation-service.connections" . | int }}
{{- if gt $most (sub (int .Values.store.serverConnections) 3 | int) }}
{{- $complaints = append $complaints (printf "%s pods, %s more in an update, with %s connections each, and the migration, open up to %d, and of store.serverConnections (%d) three are kept for administrators: lower config.store.max_connections or the number of pods, or raise max_connections of the server and then this value" (include "invitation-service.maxReplicas" .) (include "invitation-service.maxSurge" .) (include "invitation-service.podConnections" .) $most (int .Values.store.serverConnections)) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.autoscaling.enabled }}
{{- if lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas) }}
{{- $complaints = append $complaints "autoscaling.maxReplicas is less than autoscaling.minReplicas" }}
{{- end }}
{{- if lt (dig "requests" "cpu" "0" .Values.resources | include "invitation-service.millicores" | int) 500 }}
{{- $complaints = append $complaints (printf "autoscaling needs resources.requests.cpu of 500m or more: %d %% of less is used up by a few hundred calls a second, and the pods would be at maxReplicas for ever" (int .Values.autoscaling.targetCPU)) }}
{{- end }}
{{- end }}
{{- $minAvailable := .Values.podDisruptionBudget.minAvailable | toString }}
{{- $pods := include "invitation-service.replicas" . | int }}
{{- if and .Values.podDisruptionBudget.enabled (gt $pods 1) (regexMatch "^([0-9]+|100%)$" $minAvailable) }}
{{- if or (eq $minAvailable "100%") (ge (int $minAvailable) $pods) }}
{{- $complaints = append $complaints (printf "podDisruptionBudget.minAvailable (%s) of %d pods lets no node be drained" $minAvailable $pods) }}
{{- end }}
{{- end }}
{{- toYaml $complaints }}
{{- end }}

{{- define "invitation-service.validateTls" -}}
{{- $complaints := list }}
{{- $tls := include "invitation-service.tls" . }}
{{- $values := .Values.tls }}
{{- if and (eq $values.mode "existingSecret") (not $values.secretName) }}
{{- $complaints = append $complaints "tls.mode=existingSecret needs tls.secretName" }}
{{- end }}
{{- if and (eq $values.mode "certManager") (not $values.certManager.issuer.name) }}
{{- $complaints = append $complaints "tls.mode=certManager needs tls.certManager.issuer.name" }}
{{- end }}
{{- if and $values.secretName (not $tls) }}
{{- $complaints = append $complaints "tls.secretName does nothing by itself: set tls.mode to existingSecret or certManager" }}
{{- end }}
{{- if and (ne .Values.service.type "ClusterIP") (not $values.mode) }}
{{- $complaints = append $complaints (printf "service.type=%s takes calls from outside of the cluster, and without TLS their keys and links are in clear text: set tls.mode, or write tls.mode=none out if TLS ends before the pods" .Values.service.type) }}
{{- end }}
{{- if and $tls (eq .Values.service.appProtocol "kubernetes.io/h2c") }}
{{- $complaints = append $complaints "service.appProtocol=kubernetes.io/h2c is plain text, and tls.mode makes the port speak TLS: use grpc or https, or leave it out" }}
{{- end }}
{{- if and $values.clientCa.secretName (not $tls) }}
{{- $complaints = append $complaints "tls.clientCa.secretName needs tls.mode: clients show certificates over TLS alone" }}
{{- end }}
{{- if and $values.clientCertificates (not $values.clientCa.secretName) }}
{{- $complaints = append $complaints "tls.clientCertificates needs tls.clientCa.secretName: nobody could show one of these" }}
{{- end }}
{{- if eq $values.clientAuth "required" }}
{{- if not $values.clientCa.secretName }}
{{- $complaints = append $complaints "tls.clientAuth=required needs tls.clientCa.secretName: by what are certificates verified?" }}
{{- end }}
{{- if and .Values.test.enabled (not $values.testSecretName) }}
{{- $complaints = append $complaints "tls.clientAuth=required needs tls.testSecretName: without a certificate `helm test` is not served" }}
{{- end }}
{{- end }}
{{- toYaml $complaints }}
{{- end }}

{{- define "invitation-service.validateNetwork" -}}
{{- $complaints := list }}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) }}
{{- $complaints = append $complaints "gateway.enabled needs gateway.parentRefs: by which Gateway do calls come?" }}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
{{- if not .Values.networkPolicy.from }}
{{- $complaints = append $complaints "networkPolicy.enabled needs networkPolicy.from: say who may call, or [{}] for everybody" }}
{{- end }}
{{- if and .Values.monitoring.enabled (not .Values.networkPolicy.adminFrom) }}
{{- $complaints = append $complaints "networkPolicy.enabled with monitoring.enabled needs networkPolicy.adminFrom: say where Prometheus runs" }}
{{- end }}
{{- if include "invitation-service.restrictsEgress" . }}
{{- if and (eq .Values.store.backend "postgres") (not (or .Values.networkPolicy.allow.database.to .Values.networkPolicy.egress)) }}
{{- $complaints = append $complaints "networkPolicy.allow restricts what the pods call, and does not name the database: set networkPolicy.allow.database.to" }}
{{- end }}
{{- if and .Values.secrets.mailUrl.key (not (or .Values.networkPolicy.allow.smtp.to .Values.networkPolicy.egress)) }}
{{- $complaints = append $complaints "networkPolicy.allow restricts what the pods call, and does not name the mail server: set networkPolicy.allow.smtp.to" }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $complaints }}
{{- end }}

{{- define "invitation-service.validateConfig" -}}
{{- $complaints := list }}
{{- range $key, $range := include "invitation-service.ranges" . | fromJson }}
{{- $parts := splitList "." $key }}
{{- $value := dig (first $parts) (last $parts) "off" $.Values.config }}
{{- if and (kindIs "string" $value) (ne $value "off") }}
{{- $time := include "invitation-service.milliseconds" $value | int64 }}
{{- if or (lt $time (first $range | int64)) (gt $time (last $range | int64)) }}
{{- $complaints = append $complaints (printf "config.%s is %s, and has to be from %d to %d ms" $key $value (first $range | int64) (last $range | int64)) }}
{{- end }}
{{- end }}
{{- end }}
{{- /* The value that the service compares; the other is the default of config/default.toml. */}}
{{- $lease := dig "delivery" "lease" "55s" .Values.config | include "invitation-service.milliseconds" | int64 }}
{{- $step := dig "mail" "timeout" "10s" .Values.config | include "invitation-service.milliseconds" | int64 }}
{{- if lt $lease (add (mul 4 $step) 10000) }}
{{- $complaints = append $complaints "config.delivery.lease must be at least 10s longer than four times config.mail.timeout" }}
{{- end }}
{{- $store := dig "store" "timeout" "1500ms" .Values.config | include "invitation-service.milliseconds" | int64 }}
{{- $request := dig "grpc" "request_timeout" "10s" .Values.config | include "invitation-service.milliseconds" | int64 }}
{{- $grace := dig "grpc" "max_connection_age_grace" "30s" .Values.config | include "invitation-service.milliseconds" | int64 }}
{{- if and (lt $grace $request) (hasKey (include "invitation-service.ranges" . | fromJson) "grpc.max_connection_age_grace") }}
{{- $complaints = append $complaints "config.grpc.max_connection_age_grace must be at least config.grpc.request_timeout" }}
{{- end }}
{{- if ge $store $request }}
{{- $complaints = append $complaints "config.store.timeout must be shorter than config.grpc.request_timeout" }}
{{- end }}
{{- if not (kindIs "invalid" .Values.terminationGracePeriodSeconds) }}
{{- $drain := include "invitation-service.drainSeconds" . | int }}
{{- if le (int .Values.terminationGracePeriodSeconds) $drain }}
{{- $complaints = append $complaints (printf "terminationGracePeriodSeconds (%d) must exceed config.grpc.drain_delay + drain_timeout (%d s), or calls are killed while they drain; leave it null to have it derived" (int .Values.terminationGracePeriodSeconds) $drain) }}
{{- end }}
{{- end }}
{{- $variables := include "invitation-service.variables" . | fromJsonArray }}
{{- $secrets := include "invitation-service.secretVariables" . | fromJsonArray }}
{{- range $name, $_ := .Values.extraEnv }}
{{- if has $name $secrets }}
{{- $complaints = append $complaints (printf "extraEnv.%s is a secret, which everybody sees who may read the pods: use `secrets`" $name) }}
{{- else if regexMatch "^INVITATION__(ADMIN__|GRPC__LISTEN|GRPC__TLS__|GRPC__DRAIN_|STORE__URL|STORE__READ_URL|STORE__LISTEN_URL|STORE__PASSWORD|STORE__CA_|TOKEN__KEYS|AUTH__|MAIL__URL)" $name }}
{{- $complaints = append $complaints (printf "extraEnv.%s goes past the chart: use config or `secrets`" $name) }}
{{- else if regexMatch "^OTEL_EXPORTER_OTLP_(TRACES_)?HEADERS$" $name }}
{{- $complaints = append $complaints (printf "extraEnv.%s has a credential: send traces to a collector in the cluster, which has it" $name) }}
{{- else if eq $name "INVITATION_CONFIG" }}
{{- $complaints = append $complaints "extraEnv.INVITATION_CONFIG is the chart's own" }}
{{- else if and (hasPrefix "INVITATION__" $name) (not (has $name $variables)) }}
{{- $complaints = append $complaints (printf "extraEnv.%s is no variable that the service knows, and it would not start: see config/default.toml" $name) }}
{{- else if regexMatch "(PASSWORD|SECRET|TOKEN|_KEY)$" $name }}
{{- $complaints = append $complaints (printf "extraEnv.%s looks like a secret: mount a file with extraVolumes" $name) }}
{{- end }}
{{- end }}
{{- range $field := list "podAnnotations" "deploymentAnnotations" "annotations" }}
{{- if hasKey (get $.Values $field) "invitation-service/config" }}
{{- $complaints = append $complaints (printf "%s may not have invitation-service/config: it is the configuration" $field) }}
{{- end }}
{{- end }}
{{- toYaml $complaints }}
{{- end }}

{{- define "invitation-service.validate" -}}
{{- $removed := include "invitation-service.removedComplaints" . | fromYamlArray }}
{{- $complaints := $removed }}
{{- range $part := list "Secrets" "Store" "Tls" "Network" "Config" }}
{{- $complaints = concat $complaints (include (printf "invitation-service.validate%s" $part) $ | fromYamlArray) }}
{{- end }}
{{- if $complaints }}
{{- fail (printf "\n\nThese values cannot work:\n  - %s\n" (join "\n  - " $complaints)) }}
{{- end }}
{{- end }}
