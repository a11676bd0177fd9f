// The yardstick: @clerk/express behind a server that is told, request by
// request, how it is configured and what time it is. Its one argument is the
// directory whose node_modules holds the pinned packages. It prints its URL.
'use strict';
const http = require('node:http');
const { createRequire } = require('node:module');
const load = createRequire(process.argv[2] + '/package.json');
const express = load('express');
const { clerkMiddleware, createClerkClient, getAuth } = load('@clerk/express');

for (const level of ['log', 'info', 'warn', 'error']) {
  console[level] = () => {};
}

const apps = new Map();

function appFor(options) {
  const id = JSON.stringify(options);
  if (!apps.has(id)) {
    const app = express();
    const { publishableKey, secretKey, apiUrl } = options;
    app.disable('x-powered-by');
    app.use(clerkMiddleware({ ...options, clerkClient: createClerkClient({ publishableKey, secretKey, apiUrl }) }));
    app.use((req, res) => {
      const { userId, sessionId, orgId, orgRole, orgSlug, orgPermissions, has } = getAuth(req);
      res.json({
        userId: userId || '',
        sessionId: sessionId || '',
        orgId: orgId || '',
        orgRole: orgRole || '',
        orgSlug: orgSlug || '',
        orgPermissions: orgPermissions || [],
        has: (req.yardstick.has || []).map(params => has(params)),
      });
    });
    app.use((err, req, res, next) => res.status(500).json({ error: String(err.message) }));
    apps.set(id, app);
  }
  return apps.get(id);
}

const server = http.createServer({ maxHeaderSize: 1 << 20 }, (req, res) => {
  req.yardstick = JSON.parse(Buffer.from(req.headers['x-yardstick'], 'base64').toString());
  delete req.headers['x-yardstick'];
  Date.now = () => req.yardstick.now;
  appFor(req.yardstick.options)(req, res);
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`http://127.0.0.1:${server.address().port}\n`));
process.stdin.resume().on('end', () => process.exit());
