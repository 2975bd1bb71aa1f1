{{/* What the schema cannot say, because it concerns several values at once. All complaints are collected and made together. */}}
{{- define "invitation-service.validate" -}}
{{- $sqlite := eq .Values.store.backend "sqlite" }}
{{- $complaints := list }}
{{- if not .Values.existingSecret.name }}
{{- $needs := list .Values.existingSecret.keys.apiKeys }}
{{- if not $sqlite }}
{{- $needs = list .Values.existingSecret.keys.storeUrl .Values.existingSecret.keys.tokenKeys .Values.existingSecret.keys.apiKeys }}
{{- else if .Values.sqlite.tokenKeysFromSecret }}
{{- $needs = list .Values.existingSecret.keys.tokenKeys .Values.existingSecret.keys.apiKeys }}
{{- end }}
{{- $complaints = append $complaints (printf "existingSecret.name is required: with store.backend=%s, name a Secret that has the keys %s" .Values.store.backend (join ", " (compact $needs))) }}
{{- end }}
{{- if and $sqlite (not .Values.existingSecret.keys.apiKeys) }}
{{- $complaints = append $complaints "existingSecret.keys.apiKeys is required with store.backend=sqlite: the first key of its database cannot be made while the pod has the file" }}
{{- end }}
{{- if and $sqlite (gt (include "invitation-service.replicas" . | int) 1) }}
{{- $complaints = append $complaints "store.backend=sqlite allows one replica: the database is a file with one writer. Set replicas to 1, or use PostgreSQL" }}
{{- end }}
{{- if and $sqlite (eq (dig "store" "migrate_on_start" "auto" .Values.config | toString) "false") }}
{{- $complaints = append $complaints "store.backend=sqlite migrates when it starts: config.store.migrate_on_start must not be false, no Job would do it" }}
{{- end }}
{{- if and $sqlite (gt (dig "store" "lanes" 1 .Values.config | int) 1) }}
{{- $complaints = append $complaints "store.backend=sqlite has exactly one lane: leave config.store.lanes out" }}
{{- end }}
{{- if not (kindIs "invalid" .Values.terminationGracePeriodSeconds) }}
{{- $drain := include "invitation-service.drainSeconds" . | int }}
{{- if le (int .Values.terminationGracePeriodSeconds) $drain }}
{{- $complaints = append $complaints (printf "terminationGracePeriodSeconds (%d) must exceed config.grpc.drain_delay + drain_timeout (%d s), or calls are killed while they drain; leave it null to have it derived" (int .Values.terminationGracePeriodSeconds) $drain) }}
{{- end }}
{{- end }}
{{- if and .Values.tls.secretName (eq .Values.service.appProtocol "kubernetes.io/h2c") }}
{{- $complaints = append $complaints "service.appProtocol=kubernetes.io/h2c is plain text, and tls.secretName makes the port speak TLS: use grpc or https" }}
{{- end }}
{{- if and .Values.tls.clientCa.secretName (not .Values.tls.secretName) }}
{{- $complaints = append $complaints "tls.clientCa.secretName needs tls.secretName: clients show certificates over TLS alone" }}
{{- end }}
{{- if and .Values.tls.clientCertificates (not .Values.tls.clientCa.secretName) }}
{{- $complaints = append $complaints "tls.clientCertificates needs tls.clientCa.secretName: nobody could show one of these" }}
{{- end }}
{{- if and (eq .Values.tls.clientAuth "required") (not .Values.tls.clientCa.secretName) }}
{{- $complaints = append $complaints "tls.clientAuth=required needs tls.clientCa.secretName: by what are certificates verified?" }}
{{- end }}
{{- if and (eq .Values.tls.clientAuth "required") (not .Values.tls.testSecretName) }}
{{- $complaints = append $complaints "tls.clientAuth=required needs tls.testSecretName: without a certificate `helm test` is not served" }}
{{- end }}
{{- range $name, $_ := .Values.extraEnv }}
{{- if regexMatch "^INVITATION__(ADMIN__|GRPC__LISTEN|GRPC__TLS__|GRPC__DRAIN_|STORE__URL|STORE__READ_URL|TOKEN__KEYS|AUTH__|MAIL__URL)" $name }}
{{- $complaints = append $complaints (printf "extraEnv.%s goes past the chart: use config or the Secret" $name) }}
{{- end }}
{{- end }}
{{- if $complaints }}
{{- fail (printf "\n\nThese values cannot work:\n  - %s\n" (join "\n  - " $complaints)) }}
{{- end }}
{{- end }}
