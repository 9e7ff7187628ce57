//! What businesses hold in their hands: documents, whole and valid, so that a browser shows them,
//! with words in them that can be looked for wherever they must not turn up; and texts with codes.

use std::fmt::Write as _;

use crate::secrets;

/// How long a code to a phone is.
const CODE_DIGITS: usize = 6;

/// A PDF of one page with these lines on it, uncompressed. No log may have any of them.
#[must_use]
pub fn pdf(lines: &[&str]) -> Vec<u8> {
    let mut content = "BT /F1 18 Tf 60 760 Td 28 TL\n".to_owned();
    for line in lines {
        secrets::keep("line of a document", line);
        let escaped = line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
        let _ = writeln!(content, "({escaped}) Tj T*");
    }
    content.push_str("ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R \
         /Resources << /Font << /F1 4 0 R >> >> >>"
            .to_owned(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        let _ = write!(file, "{} 0 obj\n{object}\nendobj\n", number + 1);
    }
    let table = file.len();
    let _ = write!(file, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        let _ = writeln!(file, "{offset:010} 00000 n ");
    }
    let _ = write!(file, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1);
    file.into_bytes()
}

/// The code in a text that a phone got.
#[must_use]
pub fn code_in(text: &str) -> Option<String> {
    let mut numbers = text.split(|next: char| !next.is_ascii_digit());
    numbers.find(|number| number.len() == CODE_DIGITS).map(|code| {
        secrets::keep("code to a phone", code);
        code.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_a_pdf_says_where_its_objects_are() {
        let file = String::from_utf8(pdf(&["A line (in brackets)", "Another"])).unwrap();
        let table: usize = file.rsplit_once("startxref\n").unwrap().1.lines().next().unwrap().parse().unwrap();
        let rows = file[table..].lines().skip(3).take_while(|line| line.ends_with(" n "));
        for (number, row) in rows.enumerate() {
            let offset: usize = row[..10].parse().unwrap();
            assert!(file[offset..].starts_with(&format!("{} 0 obj", number + 1)), "{row}");
        }
        assert!(file.contains("(A line \\(in brackets\\)) Tj"), "{file}");
        assert!(!secrets::leaks("A line (in brackets)").is_empty());
    }

    #[test]
    fn the_code_of_a_text_is_found() {
        assert_eq!(code_in("Your code is 402817. It holds for 10 minutes.").as_deref(), Some("402817"));
        assert_eq!(code_in("Call 4028170 or 40281"), None);
    }
}
