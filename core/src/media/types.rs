//! What a file may be: the one table of types with their limits, held against the bytes and
//! never against what somebody says of them.
//!
//! A name or a declared type decides only where the bytes leave a choice: between a video and
//! a recording in the same container, and between the office documents of an old container
//! whose directory lies further behind than is looked at.

use crate::error::{ApiError, ErrorKind};

/// How much of a file is looked at to tell its type, in bytes.
pub const HEAD_MAX_BYTES: usize = 64 * 1_024;

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;

/// What a message calls a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A video.
    Video,
    /// A recording.
    Audio,
    /// Any file.
    Document,
    /// A sticker.
    Sticker,
}

impl MediaKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Image, Self::Video, Self::Audio, Self::Document, Self::Sticker];

    /// Its name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a file of the type `content_type` can be sent as this. Any can be sent as a
    /// document.
    #[must_use]
    pub fn takes(self, content_type: &str) -> bool {
        self == Self::Document || TYPES.iter().any(|row| row.kind == self && row.content_type == content_type)
    }

    /// The types that can be sent as this, for people.
    #[must_use]
    pub fn types(self) -> String {
        let rows = TYPES.iter().filter(|row| row.kind == self);
        rows.map(|row| row.content_type).collect::<Vec<_>>().join(", ")
    }
}

/// A type of file that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType {
    /// Its media type, as the Cloud API writes it.
    pub content_type: &'static str,
    /// What it is sent as.
    pub kind: MediaKind,
    /// Largest file, in bytes.
    pub max_bytes: u64,
    /// How its names end.
    extension: &'static str,
}

const fn row(content_type: &'static str, kind: MediaKind, max_bytes: u64, extension: &'static str) -> MediaType {
    MediaType { content_type, kind, max_bytes, extension }
}

/// Every type that is taken, with the Cloud API's limits.
pub const TYPES: [MediaType; 18] = [
    row("image/jpeg", MediaKind::Image, 5 * MIB, "jpg"),
    row("image/png", MediaKind::Image, 5 * MIB, "png"),
    row("image/webp", MediaKind::Sticker, STICKER_MAX_BYTES, "webp"),
    row("video/mp4", MediaKind::Video, 16 * MIB, "mp4"),
    row("video/3gpp", MediaKind::Video, 16 * MIB, "3gp"),
    row("audio/aac", MediaKind::Audio, 16 * MIB, "aac"),
    row("audio/mp4", MediaKind::Audio, 16 * MIB, "m4a"),
    row("audio/mpeg", MediaKind::Audio, 16 * MIB, "mp3"),
    row("audio/amr", MediaKind::Audio, 16 * MIB, "amr"),
    row("audio/ogg; codecs=opus", MediaKind::Audio, 16 * MIB, "ogg"),
    row("application/pdf", MediaKind::Document, DOCUMENT_MAX_BYTES, "pdf"),
    row("text/plain", MediaKind::Document, DOCUMENT_MAX_BYTES, "txt"),
    row("application/msword", MediaKind::Document, DOCUMENT_MAX_BYTES, "doc"),
    row("application/vnd.ms-excel", MediaKind::Document, DOCUMENT_MAX_BYTES, "xls"),
    row("application/vnd.ms-powerpoint", MediaKind::Document, DOCUMENT_MAX_BYTES, "ppt"),
    row(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        MediaKind::Document,
        DOCUMENT_MAX_BYTES,
        "docx",
    ),
    row(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        MediaKind::Document,
        DOCUMENT_MAX_BYTES,
        "xlsx",
    ),
    row(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        MediaKind::Document,
        DOCUMENT_MAX_BYTES,
        "pptx",
    ),
];

/// Largest sticker that stands still, in bytes.
const STICKER_MAX_BYTES: u64 = 100 * KIB;
/// Largest sticker that moves, in bytes.
const ANIMATED_STICKER_MAX_BYTES: u64 = 500 * KIB;
/// Largest document, in bytes: and so the largest file there is.
pub const DOCUMENT_MAX_BYTES: u64 = 100 * MIB;

/// What somebody says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its media type.
    pub content_type: Option<String>,
    /// Its name.
    pub file_name: Option<String>,
}

impl Declared {
    /// Whether the type or the ending of the name is that of `candidate`.
    fn says(&self, candidate: &MediaType) -> bool {
        let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let by_type = self.content_type.as_deref().is_some_and(|said| essence(said) == candidate.content_type);
        let ending = self.file_name.as_deref().and_then(|name| name.rsplit_once('.'));
        by_type || ending.is_some_and(|(_, ending)| ending.eq_ignore_ascii_case(candidate.extension))
    }
}

/// What the first bytes of a file tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// One type, with the largest file of it: stickers that move may be larger.
    One(MediaType),
    /// One of these; the first unless somebody says another.
    Either(&'static [&'static str]),
    /// One of these, if somebody says which.
    AsDeclared(&'static [&'static str]),
    /// A type that is known and not taken.
    Other(&'static str),
    /// A recording in the right container that no phone can play.
    Unplayable,
    /// Nothing that is known.
    Unknown,
}

const RECORDED: &[&str] = &["video/mp4", "audio/mp4"];
const OLD_OFFICE: &[&str] = &["application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"];
const NEW_OFFICE: &[&str] = &[
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
];

fn known(content_type: &str) -> Option<MediaType> {
    TYPES.into_iter().find(|row| row.content_type == content_type)
}

fn one(content_type: &str) -> Sniffed {
    known(content_type).map_or(Sniffed::Unknown, Sniffed::One)
}

impl Sniffed {
    /// What `head`, the first bytes of a file, tells.
    pub(super) fn of(head: &[u8]) -> Self {
        if head.starts_with(b"\xff\xd8\xff") {
            one("image/jpeg")
        } else if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            one("image/png")
        } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            webp(head)
        } else if head.get(4..8) == Some(b"ftyp") {
            of_brand(head)
        } else if head.starts_with(b"#!AMR") {
            one("audio/amr")
        } else if head.starts_with(b"OggS") {
            // The first packet stands behind the header of its page and a table of one length.
            if head.get(28..36) == Some(b"OpusHead") { one("audio/ogg; codecs=opus") } else { Self::Unplayable }
        } else if head.starts_with(b"ID3") {
            one("audio/mpeg")
        } else if let [0xff, second, ..] = head
            && second & 0xe0 == 0xe0
        {
            // A frame's layer: none is AAC in its own frames, the third is MP3.
            match (second >> 1) & 0b11 {
                0b00 if second & 0xf0 == 0xf0 => one("audio/aac"),
                0b01 => one("audio/mpeg"),
                _ => Self::Other("audio of another kind"),
            }
        } else if head.starts_with(b"%PDF-") {
            one("application/pdf")
        } else if head.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
            old_office(head)
        } else if head.starts_with(b"PK\x03\x04") {
            new_office(head)
        } else if let Some(other) = infer::get(head).filter(|other| !other.mime_type().starts_with("text/")) {
            Self::Other(other.mime_type())
        } else if is_text(head) {
            one("text/plain")
        } else {
            Self::Unknown
        }
    }

    /// The largest file that this can be, in bytes; the largest of all for what is not taken.
    pub(super) fn max_bytes(self) -> u64 {
        match self {
            Self::One(found) => found.max_bytes,
            Self::Either(names) | Self::AsDeclared(names) => {
                names.iter().filter_map(|name| known(name)).map(|row| row.max_bytes).max().unwrap_or_default()
            }
            Self::Other(_) | Self::Unplayable | Self::Unknown => DOCUMENT_MAX_BYTES,
        }
    }

    /// The type, with the help of what somebody says where the bytes leave a choice.
    ///
    /// # Errors
    /// Why a file of this type is not taken.
    pub(super) fn settle(self, declared: &Declared) -> Result<MediaType, ApiError> {
        let said = |names: &[&str]| names.iter().filter_map(|name| known(name)).find(|row| declared.says(row));
        let refuse = |details: String| ApiError::new(ErrorKind::MediaUnsupported, details);
        match self {
            Self::One(found) => Ok(found),
            Self::Either(names) => {
                let found = said(names).or_else(|| names.first().and_then(|name| known(name)));
                found.ok_or_else(|| refuse(not_taken("of no known type")))
            }
            Self::AsDeclared(names) => said(names).ok_or_else(|| {
                let which = names.join(", ");
                refuse(format!("The file is an archive or an office document; say which type it is: one of {which}."))
            }),
            Self::Other(name) => Err(refuse(not_taken(name))),
            Self::Unplayable => Err(ApiError::new(
                ErrorKind::MediaUnplayable,
                "The file is an OGG recording that is not coded with OPUS; code it with OPUS, in mono.",
            )),
            Self::Unknown => Err(refuse(not_taken("of no known type"))),
        }
    }
}

fn not_taken(what: &str) -> String {
    let types = TYPES.map(|row| row.content_type).join(", ");
    format!("The file is {what}, by its bytes; a file has to be one of {types}.")
}

/// A sticker; one whose extended header says that it moves may be larger.
fn webp(head: &[u8]) -> Sniffed {
    let moves = head.get(12..16) == Some(b"VP8X") && head.get(20).is_some_and(|flags| flags & 0b10 != 0);
    match known("image/webp") {
        Some(sticker) if moves => Sniffed::One(MediaType { max_bytes: ANIMATED_STICKER_MAX_BYTES, ..sticker }),
        Some(sticker) => Sniffed::One(sticker),
        None => Sniffed::Unknown,
    }
}

/// An ISO base media file, by its brand.
fn of_brand(head: &[u8]) -> Sniffed {
    match head.get(8..12).unwrap_or_default() {
        b"M4A " | b"M4B " | b"M4P " => one("audio/mp4"),
        [b'3', b'g', b'p' | b'2' | b'g' | b'r' | b's', _] => one("video/3gpp"),
        b"qt  " => Sniffed::Other("video/quicktime"),
        b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" => Sniffed::Other("image/heif"),
        b"avif" | b"avis" => Sniffed::Other("image/avif"),
        _ => Sniffed::Either(RECORDED),
    }
}

/// An office document of the old kind, by the names in its directory.
fn old_office(head: &[u8]) -> Sniffed {
    const NAMES: [(&str, &str); 4] = [
        ("WordDocument", "application/msword"),
        ("Workbook", "application/vnd.ms-excel"),
        ("Book", "application/vnd.ms-excel"),
        ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ];
    let number = |at: usize, bytes: usize| {
        head.get(at..at + bytes).map(|raw| raw.iter().rev().fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte)))
    };
    let directory = number(30, 2)
        .filter(|shift| (7..=16).contains(shift))
        .and_then(|shift| number(48, 4)?.checked_add(1)?.checked_mul(1 << shift))
        .and_then(|at| head.get(at..));
    let Some(directory) = directory.filter(|directory| directory.len() >= DIRECTORY_ENTRY_BYTES) else {
        return Sniffed::AsDeclared(OLD_OFFICE);
    };
    for entry in directory.chunks_exact(DIRECTORY_ENTRY_BYTES) {
        let units = entry[..64].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let name: String = char::decode_utf16(units.take_while(|unit| *unit != 0)).map(|c| c.unwrap_or('?')).collect();
        if let Some((_, content_type)) = NAMES.iter().find(|(known, _)| *known == name) {
            return one(content_type);
        }
    }
    // The directory goes on elsewhere.
    Sniffed::AsDeclared(OLD_OFFICE)
}

/// Length of an entry in the directory of an old office document.
const DIRECTORY_ENTRY_BYTES: usize = 128;

/// An office document of the new kind: a ZIP archive, by the folders in it.
fn new_office(head: &[u8]) -> Sniffed {
    const FOLDERS: [(&[u8], usize); 3] = [(b"word/", 0), (b"xl/", 1), (b"ppt/", 2)];
    let starts = head.windows(4).enumerate().filter(|(_, window)| *window == b"PK\x03\x04");
    let mut office = false;
    for (at, _) in starts {
        // The name stands behind the fixed part of an entry.
        let name = head.get(at + 30..).unwrap_or_default();
        if let Some((_, index)) = FOLDERS.iter().find(|(folder, _)| name.starts_with(folder)) {
            return one(NEW_OFFICE[*index]);
        }
        office |=
            name.starts_with(b"[Content_Types].xml") || name.starts_with(b"_rels/") || name.starts_with(b"docProps/");
    }
    if office { Sniffed::AsDeclared(NEW_OFFICE) } else { Sniffed::Other("application/zip") }
}

/// Whether this is how a text begins: UTF-8 or marked UTF-16, and no control characters but
/// those of texts.
fn is_text(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut off.
        Err(error) if error.error_len().is_none() && head.len() >= HEAD_MAX_BYTES => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        // Latin letters of older character sets, as far as they are printable.
        Err(_) => return head.iter().all(|byte| is_printable(*byte) && !(0x80..0xa0).contains(byte)),
    };
    !text.is_empty() && text.bytes().all(is_printable)
}

fn is_printable(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(head: &[u8], declared: &Declared) -> Result<MediaType, ErrorKind> {
        Sniffed::of(head).settle(declared).map_err(|error| error.kind)
    }

    fn said(content_type: &str, file_name: &str) -> Declared {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Declared { content_type: text(content_type), file_name: text(file_name) }
    }

    fn padded(head: &[u8]) -> Vec<u8> {
        let mut bytes = head.to_vec();
        bytes.resize(600, 0);
        bytes
    }

    fn ogg(packet: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0\x02".to_vec();
        page.resize(26, 0);
        page.extend([1, 19]);
        page.extend(packet);
        page
    }

    fn zip(names: &[&str]) -> Vec<u8> {
        let mut archive = Vec::new();
        for name in names {
            let mut entry = b"PK\x03\x04".to_vec();
            entry.resize(26, 0);
            entry.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            entry.extend([0, 0]);
            entry.extend(name.as_bytes());
            archive.extend(entry);
        }
        archive
    }

    fn ole(name: &str) -> Vec<u8> {
        let mut file = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        file.resize(512, 0);
        file[30] = 9;
        file.resize(1_024, 0);
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        file[512 + 128..512 + 128 + name.len()].copy_from_slice(&name);
        file
    }

    #[test]
    fn the_type_is_read_off_the_bytes_whatever_is_said() {
        let mut still = b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\0\0\0\x10".to_vec();
        let mut moving = still.clone();
        moving[20] = 0x12;
        for sticker in [&mut still, &mut moving] {
            sticker.resize(64, 0);
        }
        let cases: Vec<(Vec<u8>, &str, u64)> = vec![
            (padded(b"\xff\xd8\xff\xe0\x00\x10JFIF"), "image/jpeg", 5_242_880),
            (padded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "image/png", 5_242_880),
            (still, "image/webp", 102_400),
            (padded(b"RIFF\0\0\0\0WEBPVP8 "), "image/webp", 102_400),
            (moving, "image/webp", 512_000),
            (padded(b"\0\0\0\x20ftypisom"), "video/mp4", 16_777_216),
            (padded(b"\0\0\0\x20ftyp3gp5"), "video/3gpp", 16_777_216),
            (padded(b"\0\0\0\x20ftypM4A "), "audio/mp4", 16_777_216),
            (padded(b"\xff\xf1\x50\x80"), "audio/aac", 16_777_216),
            (padded(b"ID3\x04"), "audio/mpeg", 16_777_216),
            (padded(b"\xff\xfb\x90\x64"), "audio/mpeg", 16_777_216),
            (padded(b"#!AMR\n"), "audio/amr", 16_777_216),
            (ogg(b"OpusHead\x01\x01"), "audio/ogg; codecs=opus", 16_777_216),
            (padded(b"%PDF-1.7\n"), "application/pdf", 104_857_600),
            (b"Hello, \xc3\xbc.\r\n\tBye.\n".to_vec(), "text/plain", 104_857_600),
            (b"caf\xe9;1\r\n".to_vec(), "text/plain", 104_857_600),
            (b"<html><body>Hi</body></html>".to_vec(), "text/plain", 104_857_600),
            (ole("WordDocument"), "application/msword", 104_857_600),
            (ole("Workbook"), "application/vnd.ms-excel", 104_857_600),
            (ole("PowerPoint Document"), "application/vnd.ms-powerpoint", 104_857_600),
            (zip(&["[Content_Types].xml", "_rels/.rels", "word/document.xml"]), NEW_OFFICE[0], 104_857_600),
            (zip(&["[Content_Types].xml", "xl/workbook.xml"]), NEW_OFFICE[1], 104_857_600),
            (zip(&["ppt/presentation.xml"]), NEW_OFFICE[2], 104_857_600),
        ];
        for (bytes, content_type, max_bytes) in cases {
            for declared in [Declared::default(), said("application/octet-stream", "x.exe"), said("image/gif", "a.gif")]
            {
                let found = settled(&bytes, &declared).unwrap_or_else(|kind| panic!("{content_type}: {kind:?}"));
                assert_eq!((found.content_type, found.max_bytes), (content_type, max_bytes));
            }
        }
    }

    #[test]
    fn what_is_said_decides_where_the_bytes_leave_a_choice() {
        let recording = padded(b"\0\0\0\x20ftypisom");
        for declared in [said("audio/mp4", ""), said("Audio/MP4; codecs=mp4a", ""), said("", "note.M4A")] {
            assert_eq!(settled(&recording, &declared).unwrap().content_type, "audio/mp4");
        }
        let mut far = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        far.resize(512, 0);
        (far[30], far[48], far[49]) = (9, 0xff, 0xff);
        assert_eq!(settled(&far, &Declared::default()), Err(ErrorKind::MediaUnsupported));
        assert_eq!(settled(&far, &said("", "plan.xls")).unwrap().content_type, "application/vnd.ms-excel");
        assert_eq!(settled(&far, &said("application/msword", "")).unwrap().content_type, "application/msword");
        let office = zip(&["[Content_Types].xml", "customXml/item1.xml"]);
        assert_eq!(settled(&office, &said("", "a.pptx")).unwrap().content_type, NEW_OFFICE[2]);
        assert_eq!(settled(&office, &said("", "a.zip")), Err(ErrorKind::MediaUnsupported));
    }

    #[test]
    fn what_no_phone_shows_is_refused_with_what_it_is() {
        for (bytes, what) in [
            (padded(b"GIF89a"), "image/gif"),
            (padded(b"\x7fELF\x02\x01\x01"), "application/x-executable"),
            (padded(b"\0\0\0\x20ftypqt  "), "video/quicktime"),
            (padded(b"\0\0\0\x20ftypheic"), "image/heif"),
            (zip(&["a.txt"]), "application/zip"),
            (vec![0, 1, 2, 3], "of no known type"),
        ] {
            let error = Sniffed::of(&bytes).settle(&said("image/jpeg", "a.jpg")).unwrap_err();
            assert_eq!(error.kind, ErrorKind::MediaUnsupported, "{what}");
            assert!(error.details.contains(what) && error.details.contains("image/jpeg"), "{}", error.details);
        }
        assert_eq!(settled(&ogg(b"\x01vorbis"), &said("audio/ogg; codecs=opus", "")), Err(ErrorKind::MediaUnplayable));
        assert_eq!(settled(b"", &Declared::default()), Err(ErrorKind::MediaUnsupported));
    }

    #[test]
    fn a_message_takes_the_types_of_its_kind_and_a_document_takes_all() {
        for row in TYPES {
            assert!(row.kind.takes(row.content_type) && MediaKind::Document.takes(row.content_type));
            for kind in MediaKind::ALL.into_iter().filter(|kind| ![row.kind, MediaKind::Document].contains(kind)) {
                assert!(!kind.takes(row.content_type), "{} as {}", row.content_type, kind.name());
            }
        }
    }
}
