"""What the client library pywa can do, against the server that the environment names.

Prints one JSON object: what was sent, with the type that the server has to know it by, and what else came back.
"""
import json
import os

from pywa import WhatsApp
from pywa.types import Button, Contact, Section, SectionList, SectionRow

to = os.environ["RECIPIENT"]
client = WhatsApp(
    phone_id=os.environ["PHONE_NUMBER_ID"],
    token=os.environ["TOKEN"],
    waba_id=os.environ["WABA_ID"],
)
# The library has no setting for its address: its users change this.
session = client.api._session
session.base_url = str(session.base_url).replace("https://graph.facebook.com", os.environ["BASE_URL"])


def name(value):
    return getattr(value, "value", value)


sent = [
    ("text", client.send_message(to, "Hello from pywa", tracker="order 17")),
    ("interactive", client.send_message(to, "Sure?", header="Order", footer="Thanks",
                                        buttons=[Button(title="Yes", callback_data="yes")])),
    ("interactive", client.send_message(to, "Choose", buttons=SectionList(button_title="Open", sections=[
        Section(title="Bread", rows=[SectionRow(title="Rye", callback_data="1")])]))),
    ("image", client.send_image(to, "https://media.example/file.jpg", caption="An image")),
    ("video", client.send_video(to, "https://media.example/file.mp4")),
    ("audio", client.send_audio(to, "https://media.example/file.mp3")),
    ("document", client.send_document(to, "https://media.example/file.pdf", filename="file.pdf")),
    ("sticker", client.send_sticker(to, "https://media.example/file.webp")),
    ("location", client.send_location(to, latitude=29.97, longitude=31.13, name="Giza", address="Egypt")),
    ("contacts", client.send_contact(to, Contact(name=Contact.Name(formatted_name="Ana B", first_name="Ana"),
                                                phones=[Contact.Phone(phone="+15550001111")]))),
    ("interactive", client.request_location(to, "Where are you?")),
]
sent.append(("reaction", client.send_reaction(to, "\N{THUMBS UP SIGN}", sent[0][1].id)))
read = client.mark_message_as_read(os.environ["INBOUND"])

client.update_business_profile(about="Bread and cake", email="ana@bakery.example", websites=["https://bakery.example"])
profile = client.get_business_profile()
phone = client.get_business_phone_number()
numbers = client.get_business_phone_numbers()
account = client.get_business_account()
code = client.create_qr_code("Bread?", image_type="SVG")
changed = client.update_qr_code(code.code, "Cake?")
codes = [one.code for one in client.get_qr_codes()]
removed = client.delete_qr_code(code.code)
registered = client.register_phone_number(pin="204817")

print(json.dumps({
    "sent": [{"type": kind, "answer": {"messages": [{"id": message.id}]}} for kind, message in sent],
    "read": {"success": bool(read)},
    "profile": {"about": profile.about, "email": profile.email, "websites": list(profile.websites or [])},
    "phone": {"id": phone.id, "name": phone.verified_name, "number": phone.display_phone_number,
              "quality": name(phone.quality_rating)},
    "numbers": [one.id for one in numbers],
    "account": {"id": account.id, "name": account.name},
    "code": {"made": code.prefilled_message, "changed": changed.prefilled_message, "listed": code.code in codes,
             "image": code.qr_image_url, "removed": bool(removed)},
    "registered": bool(registered),
}))
