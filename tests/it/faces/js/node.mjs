// The scenario with every transport that Node has. Prints the results by the names of the transports.

import { readFileSync } from "node:fs";
import * as node from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";

import { readSchema, run } from "./scenario.mjs";

const [baseUrl, file] = process.argv.slice(2);
const schema = readSchema(JSON.parse(readFileSync(file, "utf8")));
const transports = {};
for (const useBinaryFormat of [false, true]) {
  const form = useBinaryFormat ? "binary" : "json";
  for (const httpVersion of ["1.1", "2"]) {
    const options = { baseUrl, httpVersion, useBinaryFormat };
    transports[`node connect ${form} ${httpVersion}`] = node.createConnectTransport(options);
    transports[`node connect ${form} ${httpVersion} get`] = node.createConnectTransport({ ...options, useHttpGet: true });
    if (useBinaryFormat) transports[`node grpc-web ${httpVersion}`] = node.createGrpcWebTransport(options);
  }
  transports[`web connect ${form}`] = web.createConnectTransport({ baseUrl, useBinaryFormat });
}
transports["node connect gzip"] = node.createConnectTransport({
  baseUrl, httpVersion: "2", useBinaryFormat: true, sendCompression: node.compressionGzip, compressMinBytes: 0,
});
transports["node grpc"] = node.createGrpcTransport({ baseUrl, httpVersion: "2" });
transports["web grpc-web"] = web.createGrpcWebTransport({ baseUrl });

const results = {};
for (const [name, transport] of Object.entries(transports)) {
  results[name] = await run(schema, transport).catch((error) => `${name}: ${error.stack}`);
}
console.log(JSON.stringify(results));
process.exit(0);
