//! Verification documents: what is taken, and what is known of one.
//!
//! The type is read off the bytes, never believed. Contents are sealed by the vault and
//! kept in the database, in a table of their own: processes of a cluster share nothing
//! but the database and the queue, a row of ten megabytes is one that both databases
//! carry, and a document goes in and out in the transaction that notes it.

use serde::{Deserialize, Serialize};

use crate::{clock::Millis, file_name::harmless, ids::DocumentId};

/// Largest document, in bytes.
pub const DOCUMENT_MAX_BYTES: usize = 10 * 1024 * 1024;
/// Documents of one business at most.
pub const DOCUMENTS_MAX: usize = 20;
/// Longest file name that is kept, in characters.
const FILE_NAME_MAX_CHARS: usize = 120;

/// What a document shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// That the company is registered.
    RegistrationCertificate,
    /// That it pays taxes.
    TaxCertificate,
    /// Who the person is that acts for it.
    Identity,
    /// Where it is.
    AddressProof,
    /// Anything else.
    Other,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::RegistrationCertificate, Self::TaxCertificate, Self::Identity, Self::AddressProof, Self::Other];

    /// Its name in rows and requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RegistrationCertificate => "registration_certificate",
            Self::TaxCertificate => "tax_certificate",
            Self::Identity => "identity",
            Self::AddressProof => "address_proof",
            Self::Other => "other",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What a document is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum DocumentType {
    /// A PDF.
    #[serde(rename = "application/pdf")]
    Pdf,
    /// A JPEG image.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// A PNG image.
    #[serde(rename = "image/png")]
    Png,
}

impl DocumentType {
    const ALL: [Self; 3] = [Self::Pdf, Self::Jpeg, Self::Png];

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// The type with this media type.
    #[must_use]
    pub fn parse(media_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.media_type() == media_type)
    }

    /// What `bytes` are, by how they begin.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
        if bytes.starts_with(b"%PDF-") {
            Some(Self::Pdf)
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if bytes.starts_with(PNG) {
            Some(Self::Png)
        } else {
            None
        }
    }

    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Pdf => &["pdf"],
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Png => &["png"],
        }
    }
}

/// A document as it is listed: everything but its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BusinessDocument)]
pub struct Document {
    /// Its id.
    #[schema(value_type = String, example = "doc_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub id: DocumentId,
    /// What it shows.
    pub kind: DocumentKind,
    /// Its name, made harmless.
    #[schema(example = "register.pdf")]
    pub file_name: String,
    /// What it is made of.
    pub content_type: DocumentType,
    /// How large it is, in bytes.
    pub size_bytes: u64,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// When, in Unix milliseconds.
    pub uploaded_at: Millis,
}

/// `given` as a file name that is harmless everywhere: no folder, no control or direction
/// character, not hidden, of bounded length, with an extension of its true type.
pub(super) fn safe_file_name(given: &str, kind: DocumentKind, content_type: DocumentType) -> String {
    let kept = harmless(given, usize::MAX);
    let kept = kept.as_str();
    let (stem, extension) = kept.rsplit_once('.').unwrap_or((kept, ""));
    let lower = extension.to_ascii_lowercase();
    let (stem, extension) = if content_type.extensions().contains(&lower.as_str()) {
        (stem, lower.as_str())
    } else {
        (kept, content_type.extensions()[0])
    };
    let room = FILE_NAME_MAX_CHARS - extension.len() - 1;
    let stem: String = stem.chars().take(room).collect();
    let stem = stem.trim_matches([' ', '.']);
    format!("{}.{extension}", if stem.is_empty() { kind.name() } else { stem })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::file_name::is_invisible;

    #[test]
    fn the_type_is_read_off_the_bytes() {
        assert_eq!(DocumentType::of(b"%PDF-1.7\n"), Some(DocumentType::Pdf));
        assert_eq!(DocumentType::of(b"\xff\xd8\xff\xe0\x00\x10JFIF"), Some(DocumentType::Jpeg));
        assert_eq!(DocumentType::of(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Some(DocumentType::Png));
        for other in [&b""[..], b"%PD", b"MZ\x90", b"PK\x03\x04", b"<svg", b"GIF89a", b"<html>%PDF-", b"\x89PNG\n"] {
            assert_eq!(DocumentType::of(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_file_name_is_made_harmless() {
        let name = |given| safe_file_name(given, DocumentKind::Identity, DocumentType::Pdf);
        assert_eq!(name("Auszug 2026.pdf"), "Auszug 2026.pdf");
        assert_eq!(name("../../etc/passwd"), "passwd.pdf");
        assert_eq!(name("C:\\Users\\ada\\scan.PDF"), "scan.pdf");
        assert_eq!(name("scan.exe"), "scan.exe.pdf");
        assert_eq!(name("invoice\u{202e}fdp.exe"), "invoicefdp.exe.pdf");
        assert_eq!(name("a\r\nSet-Cookie: x=\"y\".pdf"), "a  Set-Cookie x=y.pdf");
        assert_eq!(name(""), "identity.pdf");
        assert_eq!(name("..."), "identity.pdf");
        assert_eq!(name(".pdf"), "pdf.pdf");
        assert_eq!(safe_file_name("a.jpeg", DocumentKind::Other, DocumentType::Jpeg), "a.jpeg");
        assert_eq!(safe_file_name("a.png", DocumentKind::Other, DocumentType::Jpeg), "a.png.jpg");
    }

    proptest! {
        #[test]
        fn no_file_name_does_harm(given in any::<String>()) {
            let name = safe_file_name(&given, DocumentKind::Other, DocumentType::Png);
            prop_assert!(name.chars().count() <= FILE_NAME_MAX_CHARS && name.ends_with(".png"));
            prop_assert!(!name.starts_with(['.', ' ']) && !name.contains(['/', '\\', '"']));
            prop_assert!(!name.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert_eq!(safe_file_name(&name, DocumentKind::Other, DocumentType::Png), name);
        }
    }

    #[test]
    fn names_read_back() {
        for kind in DocumentKind::ALL {
            assert_eq!(DocumentKind::parse(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for kind in DocumentType::ALL {
            assert_eq!(DocumentType::parse(kind.media_type()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.media_type());
        }
    }
}
