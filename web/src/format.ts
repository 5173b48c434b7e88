/**
 * Numbers as text, by the rules of `src/batchprop/format.py`: four significant digits, the whole part in full, thousands
 * grouped, a true minus, powers of ten where they are tiny or huge. The tests hold both to one table of cases.
 */

const SUPERSCRIPTS: Record<string, string> = {
  "-": "⁻", "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴", "5": "⁵", "6": "⁶", "7": "⁷", "8": "⁸", "9": "⁹",
};

/** A layer's number or an exponent, raised. */
export const superscript = (number: number | string): string => [...String(number)].map((letter) => SUPERSCRIPTS[letter] ?? "").join("");

/** Names may be of any length; no place has room for more. */
const MAX_LETTERS = 40;

/** The powers of ten of the first digit of numbers that are written in full. */
const [MIN_POWER, MAX_POWER] = [-4, 14];

/** `0.1235`, `−12.3`, `12,346`, `1.2·10⁻⁵`; `NaN` and `∞` where a network overflowed. */
export function formatNumber(value: number, digits = 4): string {
  if (Number.isNaN(value)) return "NaN";
  const sign = value < 0 ? "−" : "";
  if (!Number.isFinite(value)) return `${sign}∞`;
  const [, power] = splitPower(value, digits);
  if (power < MIN_POWER || power > MAX_POWER) return formatPower(value, digits);
  return sign + groupThousands(Math.abs(value).toFixed(Math.max(digits - 1 - power, 0)));
}

/** `1.2·10⁶`, where a number of its whole part is too long. */
export function formatPower(value: number, digits: number): string {
  const [mantissa, power] = splitPower(value, digits);
  return `${value < 0 ? "−" : ""}${groupThousands(mantissa)}·10${superscript(power)}`;
}

/** The digits of a number, one before the point, and its power of ten. */
function splitPower(value: number, digits: number): [string, number] {
  const [mantissa = "", power = ""] = Math.abs(value).toExponential(digits - 1).split("e");
  return [mantissa, Number(power)];
}

/** Commas between the thousands of a number's digits, and no zeros at the end of its decimals. */
function groupThousands(digits: string): string {
  const [whole = "", decimals = ""] = digits.split(".");
  const kept = decimals.replace(/0+$/, "");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (kept && `.${kept}`);
}

/** Three digits, for legends and summaries. */
export const formatShort = (value: number): string => formatNumber(value, 3);

/** The most digits that fit, three at most, a power of ten if need be; nothing where not even one digit does. */
export const formatShortest = (value: number, fits: (text: string) => boolean): string =>
  [3, 2, 1].map((digits) => formatNumber(value, digits).replace(/^(−?)0\./, "$1.")).concat(formatPower(value, 2), formatPower(value, 1)).find(fits) ?? "";

/** Whole numbers: `5,000`, `−12,000`. */
export const formatCount = (value: number): string => value.toLocaleString("en").replace("-", "−");

/** A share in percent: `97.5%`. */
export const formatPercent = (share: number, digits = 3): string => `${formatNumber(100 * share, digits)}%`;

/** A factor in a product: in brackets where it is negative. */
export const formatFactor = (value: number): string => (value < 0 ? `(${formatNumber(value)})` : formatNumber(value));

/** The name of a feature, as short as it can be said. */
const readableName = (name: string): string => name.replace(/^missingindicator_/, "gap: ");

/** Names cut to what fits, at their end; in their middle where they would look the same, as their ends tell them apart. */
export function shortenNames(names: readonly string[], fits: (text: string) => boolean): string[] {
  const texts = names.map(readableName);
  const cut = texts.map((text) => longestThatFits(text, fits, () => 0));
  return texts.map((text, n) => (texts.some((other, m) => other !== text && cut[m] === cut[n]) ? longestThatFits(text, fits, (letters) => Math.ceil((2 * letters) / 3)) : cut[n]!));
}

/** The longest text that fits; `tail` is how many of its letters are those at the end. */
function longestThatFits(text: string, fits: (text: string) => boolean, tail: (letters: number) => number): string {
  if (fits(text)) return text;
  for (let letters = Math.min(text.length - 1, MAX_LETTERS); letters > 1; letters--) {
    const shortened = `${text.slice(0, letters - tail(letters))}…${text.slice(text.length - tail(letters))}`;
    if (fits(shortened)) return shortened;
  }
  return text.slice(0, 1);
}

export const pluralize = (count: number, one: string, many = `${one}s`): string => `${formatCount(count)} ${count === 1 ? one : many}`;

/** A gradient of norm 0 has no direction. */
export const formatCosine = (value: number): string => (Number.isNaN(value) ? "undefined" : formatNumber(value));

/** Python's spelling of numbers that are not finite. */
const SPECIAL_NUMBERS = new Map([["nan", NaN], ["inf", Infinity], ["-inf", -Infinity]]);

/** A number that Python wrote as text; NaN where it is none. */
export const parseNumber = (text: string): number => SPECIAL_NUMBERS.get(text) ?? (text === "" ? NaN : Number(text));
