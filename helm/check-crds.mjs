// Holds custom resources to the types of their operators; prints one line per complaint and exits 1 if there is any.
//
//     node check-crds.mjs MODULES FOLDER FILE...
//
// A FILE is what check-manifests.py --crds and check-docs.py write: a list of {where, doc}. MODULES is the folder with node_modules, FOLDER an empty one to
// work in. The packages' validators know types, enumerations and patterns; what they do not know is a field that does not exist, so the
// compiler looks at the same objects as literals of their types.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "argoproj.io": "argo-cd",
  "cert-manager.io": "cert-manager",
  "external-secrets.io": "external-secrets",
  "gateway.networking.k8s.io": "gateway-api",
  "helm.toolkit.fluxcd.io": "flux-cd",
  "monitoring.coreos.com": "prometheus-operator",
  "source.toolkit.fluxcd.io": "flux-cd",
  "bitnami.com": "sealed-secrets",
};

const [modules, folder, ...files] = process.argv.slice(2);
const resources = files.flatMap((file) => JSON.parse(readFileSync(file, "utf8")));
const complaints = [];
const lines = [];
const places = [];

mkdirSync(folder, { recursive: true });
symlinkSync(join(modules, "node_modules"), join(folder, "node_modules"));
for (const { where, doc } of resources) {
  const [group, version] = doc.apiVersion.split("/");
  const name = PACKAGES[group];
  if (!name) {
    complaints.push(`${where}: nothing is known of ${doc.apiVersion}`);
    continue;
  }
  const path = `@kubernetes-models/${name}/${group}/${version}/${doc.kind}`;
  let model;
  try {
    model = await import(pathToFileURL(join(modules, "node_modules", `${path}.js`)));
  } catch (error) {
    complaints.push(`${where}: there is no ${doc.kind} of ${doc.apiVersion}`);
    continue;
  }
  try {
    new model[doc.kind](doc).validate();
  } catch (error) {
    complaints.push(`${where}: ${error.message}`);
  }
  places.push(where);
  lines.push(`export const r${places.length}: import("${path}").I${doc.kind} = ${JSON.stringify(doc)};`);
}

writeFileSync(join(folder, "resources.ts"), lines.join("\n") + "\n");
writeFileSync(join(folder, "package.json"), '{"type": "module"}\n');
try {
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--pretty", "false", "--module", "nodenext", "--target", "es2022"];
  execFileSync(process.execPath, [join(modules, "node_modules/typescript/bin/tsc"), ...options, "resources.ts"], { cwd: folder, encoding: "utf8" });
} catch (error) {
  // resources.ts(LINE,COLUMN): error TS2353: ...; lines that are indented explain the one before.
  for (const line of (error.stdout || String(error)).split("\n").filter((line) => line && !line.startsWith(" "))) {
    const [, number, message] = line.match(/^resources\.ts\((\d+),\d+\): error \w+: (.*)$/) ?? [];
    complaints.push(number ? `${places[number - 1]}: ${message}` : line);
  }
}

for (const complaint of complaints) console.log(`FAIL ${complaint}`);
console.log(`${resources.length} custom resources`);
process.exit(complaints.length ? 1 : 0);
