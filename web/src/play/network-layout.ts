/** Where the network's units stand: a column for each layer, or several side by side where it is wide. */

/** The middle of a unit's picture. */
export interface Place {
  x: number;
  y: number;
}

export interface LayerLayout {
  /** The middle of the layer. */
  x: number;
  /** The width of all its columns. */
  width: number;
  units: Place[];
  /** How many units it has; very many inputs are not all drawn. */
  size: number;
}

export interface NetworkLayout {
  /** The side of a unit's picture. */
  tile: number;
  layers: LayerLayout[];
}

const [MAX_TILE, SMALL_TILE, MIN_TILE] = [32, 12, 7];
/** Inputs of a wide table that are drawn. */
const MAX_DRAWN = 96;
/** Between two layers there is room for their edges: in pixels, or on a phone in parts of the width. */
const [MIN_GAP, MIN_GAP_PART] = [26, 0.25];

export function layoutNetwork(sizes: readonly number[], width: number, height: number): NetworkLayout {
  // Smaller pictures in one column are better to follow than larger ones in two, until they are too small to see.
  for (let tile = MAX_TILE; tile >= SMALL_TILE; tile--) {
    const layout = layoutTiles(sizes, width, height, tile);
    if (layout.fits && layout.nColumns === 1) return layout;
  }
  for (let tile = MAX_TILE; tile > MIN_TILE; tile--) {
    const layout = layoutTiles(sizes, width, height, tile);
    if (layout.fits) return layout;
  }
  return layoutTiles(sizes, width, height, MIN_TILE);
}

function layoutTiles(sizes: readonly number[], width: number, height: number, tile: number): NetworkLayout & { fits: boolean; nColumns: number } {
  const pitch = tile + Math.max(2, Math.min(10, Math.round(tile / 4)));
  const maxRows = Math.max(1, Math.floor((height + pitch - tile) / pitch));
  const counts = sizes.map((size) => Math.min(size, MAX_DRAWN));
  const nColumns = counts.map((count) => Math.ceil(count / maxRows));
  const widths = nColumns.map((count) => count * pitch - (pitch - tile));
  const gap = (width - widths.reduce((sum, each) => sum + each, 0)) / Math.max(1, sizes.length - 1);
  let left = 0;
  const layers = counts.map((count, l): LayerLayout => {
    const rows = Math.ceil(count / nColumns[l]!);
    const start = left;
    left += widths[l]! + gap;
    // Units stand apart where there is room for it, up to a half more.
    const spacing = rows > 1 ? Math.min(1.5 * pitch, (height - tile) / (rows - 1)) : 0;
    const units = Array.from({ length: count }, (_, j) => {
      const [column, row] = [Math.floor(j / rows), j % rows];
      const inColumn = Math.min(rows, count - column * rows);
      return { x: start + tile / 2 + column * pitch, y: height / 2 + (row - (inColumn - 1) / 2) * spacing };
    });
    return { x: start + widths[l]! / 2, width: widths[l]!, units, size: sizes[l]! };
  });
  return { tile, layers, fits: gap >= Math.min(MIN_GAP, (MIN_GAP_PART * width) / sizes.length), nColumns: Math.max(...nColumns) };
}
