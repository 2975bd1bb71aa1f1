"""What config/default.toml says about each key, as the schema of the chart's `config` and as a table for its templates.

The text of a key says what it takes: "true or false", "Number, 1 to 65536", "Duration, 100ms to 300s", each perhaps with "or off".
FORMS has what a text cannot say in these words.
"""

import json
import re
import tomllib

# Set by the chart itself, so no part of `config`.
SET_BY_CHART = re.compile(
    r"(admin|grpc)\.listen|grpc\.tls\.[a-z_]+|store\.(read_)?url(_file)?|store\.(ca_file|sslmode)|token\.keys(_file)?"
    r"|auth\.(mode|api_keys_file|client_certificates_file)|mail\.url(_file)?"
)
DURATION = r"[0-9]{1,9}(ms|s|m|h|d)"
RATE = {"type": "string", "pattern": rf"^(off|[0-9]+ per {DURATION})$"}
SPANS = {"type": "string", "pattern": r"^$|^[0-9]+[mhd](, *[0-9]+[mhd]){0,4}$", "description": "Up to 5 durations, comma-separated, or none."}
DOMAIN = r"([*][.])?[^\s,@*]+"
DOMAINS = {"type": "string", "pattern": rf"^$|^{DOMAIN}(, *{DOMAIN})*$", "description": "Domains, comma-separated; *.example.org is every domain below it."}
REDIRECT = r"(https://([*][.])?[^\s,@*?#/]+(/[^\s,?#]*)?|[A-Za-z][A-Za-z0-9+.-]*:(//)?)"
REDIRECTS = {"type": "string", "pattern": rf"^$|^{REDIRECT}(, *{REDIRECT})*$", "description": "Addresses such as https://app.example.org, or schemes of apps such as myapp:, comma-separated."}
NETWORKS = {"type": "string", "pattern": "^$|^[0-9a-fA-F.:]+/[0-9]+(, *[0-9a-fA-F.:]+/[0-9]+)*$"}
ORIGIN = r"https?://[^\s,@*?#/]+"
ORIGINS = {"type": "string", "pattern": rf"^$|^[*]$|^{ORIGIN}(, *{ORIGIN})*$", "description": "Origins such as https://app.example.org, comma-separated, or *."}
LINK = {"type": "string", "pattern": r"^https?://[^/?#]+[^{}]*\{token\}[^{}]*$", "description": "A URL template; {token} is where the token goes."}
FORMS = {
    "events.nats_begin": {"enum": ["now", "first"]},
    "events.nats_format": {"enum": ["proto_json", "cloud_events_structured", "cloud_events_binary"]},
    "events.nats_stream": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    "events.nats_subject": {"type": "string", "pattern": "^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$"},
    "events.nats_url": {"type": "string", "pattern": "^(nats|tls)://[^@]+$", "description": "Without credentials: secrets.natsUrl is for those."},
    "grpc.cors_origins": ORIGINS,
    "grpc.health": {"const": True, "description": "`helm test` asks it through the Service."},
    "limits.calls_per_person": RATE,
    "limits.failed_lookups_per_key": RATE,
    "limits.invitations_per_account": RATE,
    "limits.invitations_per_key": RATE,
    "links.redirects": REDIRECTS,
    "log.calls": {"type": "string", "pattern": "^(all|problems|1/[1-9][0-9]{0,6})$"},
    "log.format": {"enum": ["auto", "text", "json"]},
    # A level, or directives with one level each: a typo would stop the service.
    "log.level": {
        "type": "string",
        "pattern": r"^(off|error|warn|info|debug|trace|[A-Za-z0-9_:]+(\[[^]]*\])?=(off|error|warn|info|debug|trace))"
        r"(, *(off|error|warn|info|debug|trace|[A-Za-z0-9_:]+(\[[^]]*\])?=(off|error|warn|info|debug|trace)))*$",
    },
    "mail.from": {"type": "string", "minLength": 1},
    "mail.locale": {"type": "string", "minLength": 1},
    "mail.starttls": {"enum": ["required", "none"]},
    "mail.unsubscribe": {"type": "string", "pattern": "^(|mailto:.+|https:.+)$"},
    "pages.accept": {"type": "string", "pattern": r"^$|^(connection|user|guest|general)(, *(connection|user|guest|general))*$"},
    # Secrets are in no values.
    "pages.api_key": {"const": "", "description": "Mount a file with extraVolumes, and name it by api_key_file."},
    "pages.locale": {"type": "string", "minLength": 1},
    "pages.origin": {"type": "string", "pattern": r"^https://[^/?#@]+$", "description": "The origin of the links, such as https://join.example.org."},
    "pages.redirect": {"oneOf": [LINK, {"const": ""}]},
    "pages.requests_per_client": RATE,
    "pages.trusted_proxies": NETWORKS,
    "policy.autojoin_public_domains": DOMAINS,
    "policy.invite_domains_allow": DOMAINS,
    "policy.invite_domains_deny": DOMAINS,
    "store.lanes": {"oneOf": [{"type": "integer", "minimum": 1, "maximum": 16}, {"const": "auto"}]},
    "store.listen_url": {"const": "off", "description": "A URL belongs in secrets.listenUrl."},
    "store.migrate_on_start": {"enum": ["auto", True, False]},
    "store.pooler": {"enum": ["none", "transaction"]},
    "store.reader_role": {"type": "string", "pattern": "^[a-z_][a-z0-9_]{0,56}$"},
    "webhooks.allowed_networks": NETWORKS,
}
UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Key:
    """A key of the configuration: its name with the section, its value by default, and its text."""

    def __init__(self, name, value, text):
        self.name, self.value, self.text = name, value, text
        self.variable = (re.search(r"Environment: (INVITATION__[A-Z0-9_]+)", text) or [None, None])[1]
        self.secret = "Secret." in text
        self.number = re.search(r"Number, (\d+)\s+to (\d+)", text)
        self.duration = re.search(r"(?:Duration, |: )(\d+)(ms|s|m|h|d) to (\d+)(ms|s|m|h|d)", text)
        self.off = bool(re.search(r'(Number|Duration), [^.:]*\bor "?off\b', text))

    def milliseconds(self):
        """The least and the most of a duration."""
        low, low_unit, high, high_unit = self.duration.groups()
        return [int(low) * UNITS[low_unit], int(high) * UNITS[high_unit]]

    def schema(self):
        section, key = self.name.rsplit(".", 1)
        if self.name in FORMS:
            return FORMS[self.name]
        if isinstance(self.value, bool):
            return {"type": "boolean"}
        if section == "links":
            return LINK
        if section == "reminders":
            return SPANS
        if self.number:
            low, high = map(int, self.number.groups())
            bounds = {"type": "integer", "minimum": low, "maximum": high}
            return {"oneOf": [bounds, {"const": "off"}]} if self.off else bounds
        if self.duration:
            words = f"{DURATION}|off" if self.off else DURATION
            return {"type": "string", "pattern": f"^({words})$", "description": " to ".join(["".join(self.duration.groups()[:2]), "".join(self.duration.groups()[2:])])}
        return {"type": "string", "minLength": 1} if key.endswith("_file") and self.value is None else {"type": "string"}


def keys(reference):
    """The keys of the reference; one without a value stands there as a comment. Not those of tables inside a text, which are indented."""
    section, text, found = None, [], []
    for line in reference.splitlines():
        if header := re.fullmatch(r"\[([a-z_.]+)\]", line):
            section, text = header[1], []
        elif key := re.match(r"(# )?([a-z_0-9]+) = (.*)", line):
            value = None if key[1] else tomllib.loads(f"value = {key[3]}")["value"]
            found.append(Key(f"{section}.{key[2]}", value, " ".join(text)))
            text = []
        elif line.startswith("#"):
            text.append(line.removeprefix("#").strip())
        else:
            text = []
    return found


def config_schema(found):
    """The schema of `config`. The chart needs the two durations of the drain."""
    sections = {}
    for key in found:
        section, name = key.name.rsplit(".", 1)
        if not SET_BY_CHART.fullmatch(key.name):
            body = sections.setdefault(section, {"type": "object", "additionalProperties": False, "properties": {}})
            body["properties"][name] = key.schema()
    sections["grpc"]["required"] = ["drain_delay", "drain_timeout"]
    return {"type": "object", "additionalProperties": False, "properties": sections, "required": ["grpc"]}


def template(found):
    """The same for the templates: what JSON Schema cannot compare, and what may stand in the environment."""
    ranges = {key.name: key.milliseconds() for key in found if key.duration}
    variables = sorted(key.variable for key in found if key.variable)
    secrets = sorted(key.variable for key in found if key.secret and key.variable)
    lines = ["{{/* Written by helm/lint --update from config/default.toml. */}}\n"]
    for name, value in (("ranges", ranges), ("variables", variables), ("secretVariables", secrets)):
        lines.append(f'{{{{- define "invitation-service.{name}" -}}}}\n{json.dumps(value, indent=2)}\n{{{{- end }}}}\n')
    return "\n".join(lines)
