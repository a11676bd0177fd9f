// @clerk/express with frontendApiProxy, as Clerk's guide shows it.
//
//   node express.cjs PORT
'use strict';

const path = require('node:path');
const { createRequire } = require('node:module');

const npm = createRequire(path.join(__dirname, '../../npm/package.json'));
const express = npm('express');
const { clerkMiddleware } = npm('@clerk/express');

const app = express();
app.use(clerkMiddleware({ frontendApiProxy: { enabled: true } }));

const server = app.listen(Number(process.argv[2]), '127.0.0.1');
// Or idle clients are disconnected after five seconds.
server.keepAliveTimeout = 900_000;
