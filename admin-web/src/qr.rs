//! A QR code as the path of an inline SVG: nothing to load, and nothing that escaping
//! would have to let through.

use std::fmt::Write;

use qrcode::{Color, QrCode};
use serde::Serialize;

/// Clear modules around the code that readers rely on.
const QUIET_ZONE: usize = 4;

/// A code, drawn.
#[derive(Debug, Serialize)]
pub(crate) struct Drawing {
    /// Width and height in modules, the quiet zone included.
    pub(crate) size: usize,
    /// The dark modules, as the `d` of a path.
    pub(crate) path: String,
}

/// Draws `text`; `None` when it is longer than a code can carry.
pub(crate) fn draw(text: &str) -> Option<Drawing> {
    let code = QrCode::new(text).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (y, row) in code.to_colors().chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|module| **module == Color::Dark).count();
            if run > 0 {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET_ZONE, y + QUIET_ZONE);
            }
            x += run.max(1);
        }
    }
    Some(Drawing { size: width + 2 * QUIET_ZONE, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_has_every_dark_module_and_no_other() {
        let text = "otpauth://totp/Waystation:ada?secret=GEZDGNBVGY3TQOJQ&issuer=Waystation";
        let (drawing, code) = (draw(text).unwrap(), QrCode::new(text).unwrap());
        let dark = code.to_colors().iter().filter(|module| **module == Color::Dark).count();
        let drawn: usize = drawing
            .path
            .split('M')
            .skip(1)
            .map(|run| run.split_once('h').unwrap().1.split_once('v').unwrap().0.parse::<usize>().unwrap())
            .sum();
        assert_eq!(drawn, dark);
        assert_eq!(drawing.size, code.width() + 8);
        assert!(draw(&"x".repeat(3_000)).is_none());
    }
}
