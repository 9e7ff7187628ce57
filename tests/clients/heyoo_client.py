"""What the client library heyoo can do, against the server that the environment names.

Prints one JSON object: what was sent, with the type that the server has to know it by, and what else came back.
With PARSE set to a file of webhook bodies, it prints what heyoo reads in each instead.
"""
import json
import os

from heyoo import WhatsApp

base = os.environ["BASE_URL"]
number = os.environ["PHONE_NUMBER_ID"]
to = os.environ["RECIPIENT"]
client = WhatsApp(os.environ["TOKEN"], phone_number_id=number)
# The library has no setting for its address: its users change these.
client.base_url = f"{base}/v14.0"
client.v15_base_url = f"{base}/v15.0"
client.url = f"{client.base_url}/{number}/messages"


def parse(path):
    read = []
    with open(path, encoding="utf-8") as file:
        for body in json.load(file):
            if client.is_message(body):
                read.append({
                    "message": client.get_message_id(body),
                    "type": client.get_message_type(body),
                    "text": client.get_message(body),
                    "from": client.get_mobile(body),
                    "name": client.get_name(body),
                })
            else:
                read.append({"status": client.get_delivery(body), "field": client.changed_field(body)})
    return read


def send():
    link = "https://media.example/file"
    content = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(1000)
    with open("photo.jpg", "wb") as file:
        file.write(content)
    media = client.upload_media("photo.jpg")["id"]
    url = client.query_media_url(media)
    with open(client.download_media(url, "image/jpeg", "copy"), "rb") as file:
        assert file.read() == content
    sent = [
        ("text", client.send_message("Hello from heyoo", to)),
        ("template", client.send_template(os.environ["TEMPLATE"], to, lang="en_US", components=[
            {"type": "body", "parameters": [{"type": "text", "text": "Ana"}, {"type": "text", "text": "A-17"}]},
        ])),
        ("location", client.send_location("29.97", "31.13", "Giza", "Egypt", to)),
        ("image", client.send_image(f"{link}.jpg", to, caption="An image")),
        ("image", client.send_image(media, to, link=False)),
        ("sticker", client.send_sticker(f"{link}.webp", to)),
        ("audio", client.send_audio(f"{link}.mp3", to)),
        ("video", client.send_video(f"{link}.mp4", to, caption="A video")),
        ("document", client.send_document(f"{link}.pdf", to, caption="A document")),
        ("contacts", client.send_contacts([{"name": {"formatted_name": "Ana B", "first_name": "Ana"},
                                             "phones": [{"phone": "+15550001111", "type": "WORK"}]}], to)),
        ("interactive", client.send_button({"header": "A list", "body": "Choose", "footer": "Thanks", "action": {
            "button": "Open", "sections": [{"title": "Bread", "rows": [{"id": "1", "title": "Rye"}]}]}}, to)),
        ("interactive", client.send_reply_button({"type": "button", "body": {"text": "Sure?"}, "action": {
            "buttons": [{"type": "reply", "reply": {"id": "yes", "title": "Yes"}}]}}, to)),
        ("text", client.send_custom_json({"messaging_product": "whatsapp", "to": to, "type": "text",
                                           "text": {"body": "By hand"}})),
    ]
    first = sent[0][1]["messages"][0]["id"]
    sent.append(("reaction", client.send_reaction("\N{THUMBS UP SIGN}", first, to)))
    sent.append(("text", client.reply_to_message(first, to, "An answer")))
    return {
        "sent": [{"type": kind, "answer": answer} for kind, answer in sent],
        "read": client.mark_as_read(os.environ["INBOUND"]),
    }


print(json.dumps(parse(os.environ["PARSE"]) if "PARSE" in os.environ else send()))
