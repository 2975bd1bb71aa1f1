{{/*
Values of before that have another name now. The schema lets them through, so that the complaint can say the new one; a line may go after
two minor releases. "PATH: NEW NAME".
*/}}
{{- define "invitation-service.removed" -}}
existingSecret.keys.apiKeys: secrets.apiKeys.key
existingSecret.keys.tokenKeys: secrets.tokenKeys.key
existingSecret.keys.storeUrl: secrets.storeUrl.key
existingSecret.keys.migrationStoreUrl: secrets.migrationStoreUrl.key
existingSecret.keys.readUrl: secrets.readUrl.key
existingSecret.keys.mailUrl: secrets.mailUrl.key
existingSecret.keys.natsUrl: secrets.natsUrl.key
migration.enabled: "migration.mode (none in place of false)"
{{- end }}

{{/* One complaint for each of them that is set. */}}
{{- define "invitation-service.removedComplaints" -}}
{{- $values := .Values }}
{{- $found := list }}
{{- range $path, $new := include "invitation-service.removed" . | fromYaml }}
{{- $place := $values }}
{{- range $part := splitList "." $path }}
{{- $place = ternary (get (kindIs "map" $place | ternary $place dict) $part) "" (hasKey (kindIs "map" $place | ternary $place dict) $part) }}
{{- end }}
{{- if ne (toString $place) "" }}
{{- $found = append $found (printf "%s has been renamed: set %s (docs/upgrade.md)" $path $new) }}
{{- end }}
{{- end }}
{{- toYaml $found }}
{{- end }}
