// The yardsticks: Clerk's own proxies, each behind a small Node server.
//
//   node yardstick.cjs '{"upstreams": {"root": "http://127.0.0.1:1"}, "mounts": [...], ...}'
//
// prints {"root": {"express": {"default": port, ...}, "backend": {...}}} on one
// line, and exits when its standard input ends, so that it never outlives the
// test that started it.
'use strict';

const http = require('node:http');
const path = require('node:path');
const { createRequire } = require('node:module');
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

const npm = createRequire(path.join(__dirname, '../../../npm/package.json'));
const host = '127.0.0.1';

if (isMainThread) {
  process.stdin.resume().on('end', () => process.exit(0)).on('error', () => process.exit(0));
  main(JSON.parse(process.argv[2]));
} else {
  // @clerk/express leaves an error of the upstream's body unhandled, which ends
  // the process. The test has other requests to make.
  process.on('uncaughtException', () => {});
  process.on('unhandledRejection', () => {});
  serve(workerData);
}

// @clerk/express takes the Frontend API's address from the environment only. A
// worker has an environment of its own.
async function main({ upstreams, ...rest }) {
  const ports = await Promise.all(
    Object.entries(upstreams).map(
      ([name, url]) =>
        new Promise((resolve, reject) => {
          const worker = new Worker(__filename, { workerData: rest, env: { ...process.env, CLERK_FAPI_URL: url } });
          worker.once('message', message => resolve([name, message]));
          worker.once('error', reject);
        }),
    ),
  );
  console.log(JSON.stringify({ node: process.version, ports: Object.fromEntries(ports) }));
}

async function serve({ mounts, publicHost }) {
  const ports = { express: {}, backend: {} };
  for (const mount of mounts) {
    if (!mount.direct) {
      ports.express[mount.name] = await listen(expressApp(mount, publicHost));
    }
    ports.backend[mount.name] = await listen(backendApp(mount, publicHost));
  }
  parentPort.postMessage(ports);
}

function listen(handler) {
  return new Promise(resolve => {
    const server = http.createServer(handler).listen(0, host, () => resolve(server.address().port));
  });
}

function expressApp({ path, publishableKey, secretKey, someHosts }, publicHost) {
  const express = npm('express');
  const { clerkMiddleware } = npm('@clerk/express');
  const enabled = someHosts ? url => url.host === publicHost : true;
  const app = express();
  app.use(clerkMiddleware({ publishableKey, secretKey, frontendApiProxy: { enabled, path } }));
  app.use((req, res) => void res.end('app'));
  // Express prints errors otherwise.
  app.use((err, req, res, next) => void res.status(500).end());
  return app;
}

// What a careful user would write around @clerk/backend/proxy.
function backendApp({ path, publishableKey, secretKey, someHosts, direct }, publicHost) {
  const { clerkFrontendApiProxy, matchProxyPath } = npm('@clerk/backend/proxy');
  return async (req, res) => {
    let request;
    try {
      request = toRequest(req);
    } catch {
      return void res.writeHead(400).end();
    }
    try {
      const enabled = !someHosts || new URL(request.url).host === publicHost;
      if (!direct && !(enabled && matchProxyPath(request, { proxyPath: path }))) {
        return void res.end('app');
      }
      const answer = await clerkFrontendApiProxy(request, { proxyPath: path, publishableKey, secretKey });
      res.statusCode = answer.status;
      for (const [name, value] of answer.headers) {
        res.appendHeader(name, value);
      }
      if (answer.body) {
        await pipeline(Readable.fromWeb(answer.body), res);
      } else {
        res.end();
      }
    } catch {
      res.destroy();
    }
  };
}

function toRequest(req) {
  const headers = new Headers();
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    headers.append(req.rawHeaders[i], req.rawHeaders[i + 1]);
  }
  const url = req.url.startsWith('/') ? `http://${req.headers.host}${req.url}` : req.url;
  const { 'content-length': length, 'transfer-encoding': encoding } = req.headers;
  const hasBody = encoding !== undefined || (length !== undefined && length !== '0');
  // The Fetch standard has no GET and no HEAD with a body.
  const body = hasBody && req.method !== 'GET' && req.method !== 'HEAD' ? Readable.toWeb(req) : null;
  return new Request(url, { method: req.method, headers, body, duplex: 'half' });
}
