import * as pulumi from "@pulumi/pulumi";

interface SquareInputs {
  readonly size: number;
}

const provider: pulumi.dynamic.ResourceProvider = {
  create: ({ size }: SquareInputs) => Promise.resolve({ id: "square", outs: { size, area: size * size } }),
};

class Square extends pulumi.dynamic.Resource {
  declare readonly area: pulumi.Output<number>;

  constructor(name: string, inputs: SquareInputs) {
    super(provider, name, { area: undefined, ...inputs }, undefined, "shapes", "Square");
  }
}

export const area = new Square("square", { size: new pulumi.Config().requireNumber("size") }).area;
