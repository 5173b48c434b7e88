/** Numbers as text: four digits, a true minus, powers of ten where they are tiny or huge. */

const SUPERSCRIPTS: Record<string, string> = {
  "-": "⁻", "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴", "5": "⁵", "6": "⁶", "7": "⁷", "8": "⁸", "9": "⁹",
};

const superscript = (exponent: string): string => [...exponent].map((letter) => SUPERSCRIPTS[letter] ?? "").join("");

/** `0.1235`, `−12.3`, `1.2·10⁻⁵`; `NaN` and `∞` where a network overflowed. */
export function show(value: number, digits = 4): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (size < 1e-4 || size >= 1e6) return sign + power(size, Math.min(digits, 2));
  return sign + String(Number(size.toPrecision(digits)));
}

function power(size: number, digits: number): string {
  const [mantissa = "1", exponent = "0"] = size.toExponential(digits - 1).split("e");
  return `${Number(mantissa)}·10${superscript(exponent.replace("+", ""))}`;
}

/** For legends and summaries, where three digits do. */
export const brief = (value: number): string => show(value, 3);

/** A factor within a sum: in brackets where it is negative. */
export const factor = (value: number): string => (value < 0 ? `(${show(value)})` : show(value));

export const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** With a gradient of length 0 there is no angle. */
export const showCosine = (value: number): string => (Number.isNaN(value) ? "undefined" : show(value));
