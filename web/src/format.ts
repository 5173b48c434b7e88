/** Numbers as text: four digits, thousands grouped, a true minus, powers of ten where they are tiny or huge. */

const SUPERSCRIPTS: Record<string, string> = {
  "-": "⁻", "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴", "5": "⁵", "6": "⁶", "7": "⁷", "8": "⁸", "9": "⁹",
};

/** A layer's number or an exponent, raised. */
export const superscript = (number: number | string): string => [...String(number)].map((letter) => SUPERSCRIPTS[letter] ?? "").join("");

const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 20 });

/** `0.1235`, `−12.3`, `5,000`, `1.2·10⁻⁵`; `NaN` and `∞` where a network overflowed. */
export function formatNumber(value: number, digits = 4): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (magnitude < 1e-4 || magnitude >= 1e6) return sign + formatPower(magnitude, Math.min(digits, 2));
  return sign + GROUPED.format(Number(magnitude.toPrecision(digits)));
}

function formatPower(magnitude: number, digits: number): string {
  const [mantissa = "1", exponent = "0"] = magnitude.toExponential(digits - 1).split("e");
  return `${Number(mantissa)}·10${superscript(exponent.replace("+", ""))}`;
}

/** Three digits, for legends and summaries. */
export const formatShort = (value: number): string => formatNumber(value, 3);

/** The most digits that fit, three at most; nothing where not even one digit does. */
export const formatShortest = (value: number, fits: (text: string) => boolean): string =>
  [3, 2, 1].map((digits) => formatNumber(value, digits).replace(/^(−?)0\./, "$1.")).find(fits) ?? "";

/** Whole numbers: `5,000`, `−12,000`. */
export const formatCount = (value: number): string => value.toLocaleString("en").replace("-", "−");

/** A factor in a product: in brackets where it is negative. */
export const formatFactor = (value: number): string => (value < 0 ? `(${formatNumber(value)})` : formatNumber(value));

export const pluralize = (count: number, one: string, many = `${one}s`): string => `${formatCount(count)} ${count === 1 ? one : many}`;

/** A gradient of norm 0 has no direction. */
export const formatCosine = (value: number): string => (Number.isNaN(value) ? "undefined" : formatNumber(value));

/** Python's spelling of numbers that are not finite. */
const SPECIAL_NUMBERS = new Map([["nan", NaN], ["inf", Infinity], ["-inf", -Infinity]]);

/** A number that Python wrote as text; NaN where it is none. */
export const parseNumber = (text: string): number => SPECIAL_NUMBERS.get(text) ?? (text === "" ? NaN : Number(text));
