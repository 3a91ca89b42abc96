// npm `ws`: compresses what it sends from `threshold` on.
import WebSocket from 'ws';
import { converse } from './conversation.mjs';

const { STREAM, TOKEN } = process.env;
const headers = { authorization: `Bearer ${TOKEN}` };
const socket = new WebSocket(STREAM, 'roomlog.v1', { headers, perMessageDeflate: { threshold: 0 } });
const extensions = () => socket.extensions;
converse(socket, extensions).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
