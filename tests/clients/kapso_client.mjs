// What the client library @kapso/whatsapp-cloud-api can do, against the server that the environment names.
//
// Prints one JSON object: what was sent, with the type that the server has to know it by, and what else came back.
// With PARSE set to a file of webhook bodies, it prints what the library reads in them instead.
import { readFileSync } from "node:fs";
import { WhatsAppClient, buildTemplateSendPayload } from "@kapso/whatsapp-cloud-api";
import { normalizeWebhook, verifySignature } from "@kapso/whatsapp-cloud-api/server";

const { BASE_URL, TOKEN, PHONE_NUMBER_ID, RECIPIENT, TEMPLATE, INBOUND, PARSE, APP_SECRET } = process.env;

function parse(path) {
  return JSON.parse(readFileSync(path, "utf8")).map(({ body, signature }) => {
    const webhook = normalizeWebhook(JSON.parse(body));
    return {
      genuine: verifySignature({ appSecret: APP_SECRET, rawBody: body, signatureHeader: signature }),
      phoneNumberId: webhook.phoneNumberId,
      statuses: webhook.statuses.map((status) => ({ id: status.id, status: status.status })),
      messages: webhook.messages.map((message) => ({ id: message.id, type: message.type, text: message.text?.body })),
    };
  });
}

async function send() {
  const client = new WhatsAppClient({ baseUrl: BASE_URL, accessToken: TOKEN, graphVersion: "v24.0" });
  const of = { phoneNumberId: PHONE_NUMBER_ID };
  const to = { ...of, to: RECIPIENT };
  const link = "https://media.example/file";
  const { messages, phoneNumbers } = client;
  const sent = [
    ["text", await messages.sendText({ ...to, body: "Hello from Kapso" })],
    ["text", await messages.sendText({ ...of, recipient: "US.13491208655302741918", body: "By user id" })],
    ["text", await messages.sendRaw({ ...of, payload: {
      messaging_product: "whatsapp", to: RECIPIENT, type: "text", text: { body: "By hand" } } })],
    ["image", await messages.sendImage({ ...to, image: { link: `${link}.jpg`, caption: "An image" } })],
    ["document", await messages.sendDocument({ ...to, document: { link: `${link}.pdf`, filename: "file.pdf" } })],
    ["video", await messages.sendVideo({ ...to, video: { link: `${link}.mp4`, caption: "A video" } })],
    ["audio", await messages.sendAudio({ ...to, audio: { link: `${link}.mp3` } })],
    ["sticker", await messages.sendSticker({ ...to, sticker: { link: `${link}.webp` } })],
    ["location", await messages.sendLocation({ ...to,
      location: { latitude: 29.97, longitude: 31.13, name: "Giza", address: "Egypt" } })],
    ["contacts", await messages.sendContacts({ ...to, contacts: [
      { name: { formattedName: "Ana B", firstName: "Ana" }, phones: [{ phone: "+15550001111", type: "WORK" }] }] })],
    ["interactive", await messages.sendInteractiveButtons({ ...to, bodyText: "Sure?", footerText: "Thanks",
      buttons: [{ id: "yes", title: "Yes" }, { id: "no", title: "No" }] })],
    ["interactive", await messages.sendInteractiveList({ ...to, bodyText: "Choose", buttonText: "Open",
      sections: [{ title: "Bread", rows: [{ id: "1", title: "Rye" }] }] })],
    ["interactive", await messages.sendInteractiveCtaUrl({ ...to, bodyText: "See dates",
      parameters: { displayText: "See Dates", url: "https://bakery.example" } })],
    ["interactive", await messages.sendInteractiveCarousel({ ...to, bodyText: "Choose", cards: [0, 1].map((cardIndex) => ({
      cardIndex, header: { type: "image", image: { link: `${link}.jpg` } }, bodyText: "A card",
      action: { displayText: "View", url: "https://bakery.example" } })) })],
    ["interactive", await messages.sendInteractiveCatalogMessage({ ...to, bodyText: "Our bread",
      parameters: { thumbnailProductRetailerId: "SKU-123" } })],
    ["interactive", await messages.sendInteractiveFlow({ ...to, bodyText: "Order", parameters: {
      flowId: "1234567890", flowCta: "Open", flowToken: "token", flowAction: "navigate",
      flowActionPayload: { screen: "WELCOME" } } })],
    ["template", await messages.sendTemplate({ ...to, template: buildTemplateSendPayload({
      name: TEMPLATE, language: "en_US", body: [{ type: "text", text: "Ana" }, { type: "text", text: "A-17" }] }) })],
  ];
  sent.push(["reaction", await messages.sendReaction({ ...to,
    reaction: { messageId: sent[0][1].messages[0].id, emoji: "\u{1F44D}" } })]);
  const read = await messages.markRead({ ...of, messageId: INBOUND, typingIndicator: { type: "text" } });
  const updated = await phoneNumbers.businessProfile.update({ ...of, about: "Cake and bread" });
  const profile = await phoneNumbers.businessProfile.get({ ...of });
  const registered = await phoneNumbers.register({ ...of, pin: "204817" });
  const deregistered = await phoneNumbers.deregister({ ...of });
  const again = await phoneNumbers.register({ ...of, pin: "204817" });
  return { sent: sent.map(([type, answer]) => ({ type, answer })), read, updated, profile, registered, deregistered, again };
}

console.log(JSON.stringify(PARSE ? parse(PARSE) : await send()));
