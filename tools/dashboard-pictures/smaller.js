// node smaller.js FROM TO: the same picture with a palette, a third of the size.
import sharp from 'sharp';

const [from, to] = process.argv.slice(2);
await sharp(from).png({ palette: true, colours: 128, dither: 0, effort: 10 }).toFile(to);
