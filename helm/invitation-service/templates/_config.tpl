{{/*
The service's configuration file. Written out key by key: toToml would turn the whole numbers of the values into floats.
A JSON string is a TOML basic string. Call with (dict "root" $ "migration" BOOL): the migration serves nothing, so it waits for no
certificate, and logs in with a URL of its own if there is one.
*/}}
{{- define "invitation-service.config" -}}
{{- $values := .root.Values }}
{{- $secrets := "/run/secrets/invitation-service" }}
{{- $used := include "invitation-service.usedSecrets" . | fromYaml }}
{{- $listen := ternary "[::]" $values.listenAddress (eq $values.listenAddress "::") }}
{{- $own := dict
      "admin" (dict "listen" (printf "%s:9090" $listen))
      "grpc" (dict "listen" (printf "%s:50051" $listen))
      "auth" (dict "mode" "required")
      "store" dict "token" dict "mail" dict "events" dict }}
{{- $files := dict
      "api-keys.toml" (list "auth" "api_keys_file")
      "token-keys" (list "token" "keys_file")
      "store-url" (list "store" "url_file")
      "store-password" (list "store" "password_file")
      "store-ca.crt" (list "store" "ca_file")
      "read-url" (list "store" "read_url_file")
      "listen-url" (list "store" "listen_url_file")
      "mail-url" (list "mail" "url_file")
      "nats-url" (list "events" "nats_url_file") }}
{{- range $file, $place := $files }}
{{- if hasKey $used $file }}
{{- $_ := set (get $own (first $place)) (last $place) (printf "%s/%s" $secrets $file) }}
{{- end }}
{{- end }}
{{- if eq $values.store.backend "sqlite" }}
{{- $_ := set $own.store "url" "sqlite:///var/lib/invitation-service/invitations.db" }}
{{- else }}
{{- with $values.store.sslmode }}
{{- $_ := set $own.store "sslmode" . }}
{{- end }}
{{- if eq $values.migration.mode "onStart" }}
{{- $_ := set $own.store "migrate_on_start" true }}
{{- end }}
{{- end }}
{{- if and (include "invitation-service.tls" .root) (not .migration) }}
{{- $tls := dict "cert_file" "/run/secrets/invitation-service-tls/tls.crt" "key_file" "/run/secrets/invitation-service-tls/tls.key" }}
{{- if $values.tls.clientCa.secretName }}
{{- $_ := set $tls "client_ca_file" "/run/secrets/invitation-service-tls/client-ca.crt" }}
{{- $_ := set $tls "client_auth" $values.tls.clientAuth }}
{{- if $values.tls.clientCertificates }}
{{- $_ := set $own.auth "client_certificates_file" "/etc/invitation-service/client-certificates.toml" }}
{{- end }}
{{- end }}
{{- $_ := set $own "grpc.tls" $tls }}
{{- end }}
{{- range $section, $keys := mergeOverwrite (deepCopy $values.config) $own }}
{{- if $keys }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{- if kindIs "string" $value }}
{{ $key }} = {{ toRawJson $value }}
{{- else if kindIs "bool" $value }}
{{ $key }} = {{ $value }}
{{- else if not (kindIs "invalid" $value) }}
{{ $key }} = {{ int64 $value }}
{{- end }}
{{- end }}
{{ end }}
{{- end }}
{{- end }}

{{/*
The configuration as an annotation of the pods that read it. So it belongs to the ReplicaSet, as the image does: a pod of the last
release that starts again while an update hangs reads what it was made for, where a ConfigMap would have the new file, with keys that the
old release refuses. It rolls the pods, `kubectl rollout undo` brings it back, and nothing is left over that a prune could take away.
*/}}
{{- define "invitation-service.configAnnotation" -}}
invitation-service/config: |
  {{- regexReplaceAll "\\n{2,}" (include "invitation-service.config" . | trim) "\n" | nindent 2 }}
{{- end }}

{{/*
The secret files that a pod gets: file name to {name, key} of the Secret. An item without a key of its own is not used.
*/}}
{{- define "invitation-service.usedSecrets" -}}
{{- $values := .root.Values }}
{{- $secrets := $values.secrets }}
{{- $postgres := eq $values.store.backend "postgres" }}
{{- $wanted := dict "api-keys.toml" $secrets.apiKeys "mail-url" $secrets.mailUrl "nats-url" $secrets.natsUrl }}
{{- if or $postgres $values.sqlite.tokenKeysFromSecret }}
{{- $_ := set $wanted "token-keys" $secrets.tokenKeys }}
{{- end }}
{{- if $postgres }}
{{- $_ := set $wanted "store-url" $secrets.storeUrl }}
{{- $_ := set $wanted "store-password" $secrets.storePassword }}
{{- $_ := set $wanted "read-url" $secrets.readUrl }}
{{- $_ := set $wanted "listen-url" $secrets.listenUrl }}
{{- if and .migration $secrets.migrationStoreUrl.key }}
{{- $_ := set $wanted "store-url" $secrets.migrationStoreUrl }}
{{- $_ := set $wanted "store-password" $secrets.migrationStorePassword }}
{{- /* They are of the role that serves, and the migration asks no standby. */}}
{{- $_ := unset $wanted "read-url" }}
{{- $_ := unset $wanted "listen-url" }}
{{- end }}
{{- with $values.store.ca }}
{{- if or .secretName .configMapName }}
{{- $_ := set $wanted "store-ca.crt" (dict "name" .secretName "configMap" .configMapName "key" .key) }}
{{- end }}
{{- end }}
{{- end }}
{{- $used := dict }}
{{- range $file, $item := $wanted }}
{{- if $item.key }}
{{- $source := ternary (dict "configMap" $item.configMap) (dict "secret" ($item.name | default $values.existingSecret.name)) (not (empty $item.configMap)) }}
{{- $_ := set $used $file (merge (dict "key" $item.key) $source) }}
{{- end }}
{{- end }}
{{- toYaml $used }}
{{- end }}
