// An SMSC on node-smpp's server. Says on its output what it takes, one JSON object a line; does what its input says,
// likewise: {"mo": {"from", "to", "text"}}. Ends with its input.
//
// The last four digits of a recipient decide: 0101 is throttled once and 0102 meets a full queue once; 0103 gets its
// receipt before the response; 0104 is not delivered; everyone else is, at once. Ids are hexadecimal in responses and
// decimal in receipts.
const smpp = require(process.argv[2]);
const port = Number(process.argv[3]);
const first = Number(process.argv[4]);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const sessions = new Set();
const seen = new Set();
let last = first;

const receipt = (session, message, id, state) =>
  session.deliver_sm({
    source_addr: message.destination_addr,
    destination_addr: message.source_addr,
    esm_class: 4,
    short_message: {
      message: Buffer.from(`id:${id} sub:001 dlvrd:001 submit date:2611241200 done date:2611241200 stat:${state} err:000`),
    },
  });

const take = (session, message) => {
  const last4 = message.destination_addr.slice(-4);
  const once = { "0101": smpp.ESME_RTHROTTLED, "0102": smpp.ESME_RMSGQFUL }[last4];
  if (once && !seen.has(last4)) {
    seen.add(last4);
    say({ refused: last4 });
    return session.send(message.response({ command_status: once }));
  }
  last += 1;
  const id = last;
  const text = message.message_payload || message.short_message;
  const udh = text.udh ? [...text.udh[0]] : null;
  say({ id, to: message.destination_addr, from: message.source_addr, text: text.message.toString(), coding: message.data_coding, udh });
  const respond = () => session.send(message.response({ message_id: id.toString(16) }));
  const tell = () => message.registered_delivery && receipt(session, message, id, last4 === "0104" ? "UNDELIV" : "DELIVRD");
  if (last4 === "0103") {
    tell();
    return setTimeout(respond, 300);
  }
  respond();
  setTimeout(tell, 20);
};

const server = smpp.createServer((session) => {
  session.on("error", () => sessions.delete(session));
  session.on("close", () => sessions.delete(session));
  session.on("bind_transceiver", (bind) => {
    const good = bind.system_id === "waystati" && bind.password === "s3cret";
    session.send(bind.response(good ? { system_id: "smsc" } : { command_status: smpp.ESME_RINVPASWD }));
    if (!good) return session.close();
    sessions.add(session);
    say({ bound: true });
  });
  session.on("enquire_link", (pdu) => {
    say({ enquired: true });
    session.send(pdu.response());
  });
  session.on("unbind", (pdu) => {
    say({ unbound: true });
    session.send(pdu.response());
    session.close();
  });
  session.on("submit_sm", (pdu) => take(session, pdu));
  session.on("data_sm", (pdu) => take(session, pdu));
});
server.on("error", (error) => {
  say({ error: String(error) });
  process.exit(1);
});
server.listen(port, "127.0.0.1", () => say({ port: server.address().port }));

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { mo } = JSON.parse(line);
    const [session] = sessions;
    session.deliver_sm({ source_addr: mo.from, destination_addr: mo.to, short_message: mo.text }, (pdu) =>
      say({ mo_status: pdu.command_status }),
    );
  })
  .on("close", () => process.exit(0));
