/** The activations: one record each, with σ and σ' of a number; the formulas are those of `batchprop.activations`. */

export interface Activation {
  readonly name: string;
  readonly value: (z: number) => number;
  /** σ'(z); `h` is σ(z), which saves some of them a second exponential. */
  readonly slope: (z: number, h: number) => number;
}

const LEAKY_RELU_SLOPE = 0.01;
const [SELU_ALPHA, SELU_SCALE] = [1.6732632423543772, 1.0507009873554805];
const [GELU_CUBIC, GELU_SLOPE] = [0.044715, Math.sqrt(2 / Math.PI)];

/** exp(−|z|) never overflows. */
export function sigmoid(z: number): number {
  const e = Math.exp(-Math.abs(z));
  return (z >= 0 ? 1 : e) / (1 + e);
}

const softplus = (z: number): number => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
const geluTanh = (z: number): number => Math.tanh(GELU_SLOPE * (z + GELU_CUBIC * z * z * z));

export const ACTIVATIONS: readonly Activation[] = [
  { name: "identity", value: (z) => z, slope: () => 1 },
  { name: "sigmoid", value: sigmoid, slope: (_, h) => h * (1 - h) },
  { name: "tanh", value: Math.tanh, slope: (_, h) => 1 - h * h },
  { name: "relu", value: (z) => Math.max(z, 0), slope: (z) => (z > 0 ? 1 : 0) },
  { name: "leaky_relu", value: (z) => Math.max(z, LEAKY_RELU_SLOPE * z), slope: (z) => (z > 0 ? 1 : LEAKY_RELU_SLOPE) },
  { name: "elu", value: (z) => (z > 0 ? z : Math.expm1(z)), slope: (z) => Math.exp(Math.min(z, 0)) },
  {
    name: "selu",
    value: (z) => SELU_SCALE * (z > 0 ? z : SELU_ALPHA * Math.expm1(z)),
    slope: (z) => SELU_SCALE * (z > 0 ? 1 : SELU_ALPHA * Math.exp(z)),
  },
  {
    name: "gelu",
    value: (z) => 0.5 * z * (1 + geluTanh(z)),
    slope: (z) => {
      const t = geluTanh(z);
      return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * GELU_SLOPE * (1 + 3 * GELU_CUBIC * z * z);
    },
  },
  {
    name: "silu",
    value: (z) => z * sigmoid(z),
    slope: (z) => {
      const s = sigmoid(z);
      return s * (1 + z * (1 - s));
    },
  },
  {
    name: "mish",
    value: (z) => z * Math.tanh(softplus(z)),
    slope: (z) => {
      const t = Math.tanh(softplus(z));
      return t + z * (1 - t * t) * sigmoid(z);
    },
  },
  { name: "softplus", value: softplus, slope: sigmoid },
];

export function getActivation(name: string): Activation {
  const activation = ACTIVATIONS.find((each) => each.name === name);
  if (!activation) throw new Error(`the activation ${name} is unknown`);
  return activation;
}
