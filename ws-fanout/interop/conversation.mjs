// The same for `ws` and browsers: starts, says a long text on the socket, and gets it back.
export function converse(socket, extensions, { room, text } = {}) {
  room ??= process.env.ROOM;
  text ??= 'To be, or not to be, that is the question: '.repeat(40);
  return new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(why));
    const timer = setTimeout(() => fail('no answer within 20 s'), 20_000);
    const seen = new Set();
    socket.onopen = () => {
      if (!extensions().includes('permessage-deflate')) fail(`agreed upon: "${extensions()}"`);
      socket.send(JSON.stringify({ type: 'start', since: {} }));
    };
    socket.onerror = (event) => fail(`error ${event.message ?? ''}`);
    socket.onclose = (event) => fail(`closed ${event.code}`);
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === 'started') {
        socket.send(JSON.stringify({ type: 'command', id: '1', command: 'send_message', room_id: room, text }));
      } else if (frame.type === 'event') {
        if (frame.event.text !== text) return fail(`another text: ${data}`);
        seen.add('event');
      } else if (frame.type === 'accepted') {
        seen.add('accepted');
      } else {
        return fail(data);
      }
      if (seen.size === 2) {
        clearTimeout(timer);
        socket.onclose = null;
        socket.close();
        resolve();
      }
    };
  });
}
