//! QR codes, drawn: dark modules on white, with the clear margin that readers rely on.

use std::fmt::Write;

use qrcode::{Color, QrCode};
use serde::Serialize;

/// Clear modules around the code that readers rely on.
const QUIET_ZONE: usize = 4;
/// Width and height of a module in a PNG, in pixels.
const MODULE_PIXELS: usize = 8;

/// A code, drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drawing {
    /// Width and height in modules, the quiet zone included.
    pub size: usize,
    /// The dark modules, as the `d` of an SVG path.
    pub path: String,
}

/// Draws `text`; `None` when it is longer than a code can carry.
#[must_use]
pub fn draw(text: &str) -> Option<Drawing> {
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

/// `text` as an SVG document; `None` when it is longer than a code can carry.
#[must_use]
pub fn svg(text: &str) -> Option<String> {
    let Drawing { size, path } = draw(text)?;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{size}v{size}H0z\"/><path d=\"{path}\"/></svg>"
    ))
}

/// `text` as a PNG; `None` when it is longer than a code can carry.
#[must_use]
pub fn png(text: &str) -> Option<Vec<u8>> {
    let code = QrCode::new(text).ok()?;
    let width = code.width();
    let side = (width + 2 * QUIET_ZONE) * MODULE_PIXELS;
    let row_bytes = side.div_ceil(8);
    // One bit a pixel, 1 is white.
    let mut pixels = vec![0xff_u8; row_bytes * side];
    for (index, _) in code.to_colors().iter().enumerate().filter(|(_, module)| **module == Color::Dark) {
        let (left, top) = ((index % width + QUIET_ZONE) * MODULE_PIXELS, (index / width + QUIET_ZONE) * MODULE_PIXELS);
        for y in top..top + MODULE_PIXELS {
            for x in left..left + MODULE_PIXELS {
                pixels[y * row_bytes + x / 8] &= !(0x80 >> (x % 8));
            }
        }
    }
    let mut image = Vec::new();
    let side = u32::try_from(side).ok()?;
    let mut encoder = png::Encoder::new(&mut image, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).ok()?;
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "otpauth://totp/Waystation:ada?secret=GEZDGNBVGY3TQOJQ&issuer=Waystation";

    #[test]
    fn the_drawing_has_every_dark_module_and_no_other() {
        let (drawing, code) = (draw(TEXT).unwrap(), QrCode::new(TEXT).unwrap());
        let dark = code.to_colors().iter().filter(|module| **module == Color::Dark).count();
        let drawn: usize = drawing
            .path
            .split('M')
            .skip(1)
            .map(|run| run.split_once('h').unwrap().1.split_once('v').unwrap().0.parse::<usize>().unwrap())
            .sum();
        assert_eq!(drawn, dark);
        assert_eq!(drawing.size, code.width() + 8);
        assert!(svg(TEXT).unwrap().contains(&drawing.path));
        assert!(draw(&"x".repeat(3_000)).is_none());
    }

    #[test]
    fn the_png_has_every_module_at_its_place() {
        let code = QrCode::new(TEXT).unwrap();
        let image = png(TEXT).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&image)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let side = (code.width() + 2 * QUIET_ZONE) * MODULE_PIXELS;
        assert_eq!((info.width as usize, info.height as usize), (side, side));
        let dark = |x: usize, y: usize| pixels[y * info.line_size + x / 8] & (0x80 >> (x % 8)) == 0;
        for (index, module) in code.to_colors().iter().enumerate() {
            let (x, y) = (index % code.width() + QUIET_ZONE, index / code.width() + QUIET_ZONE);
            let middle = |at: usize| at * MODULE_PIXELS + MODULE_PIXELS / 2;
            assert_eq!(dark(middle(x), middle(y)), *module == Color::Dark, "module {x}, {y}");
        }
        assert!(!dark(0, 0) && !dark(side - 1, side - 1));
        assert!(png(&"x".repeat(3_000)).is_none());
    }
}
