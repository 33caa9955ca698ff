import { companyWords, partAdjectives, partNouns, sentences } from "./words";
import type { Random } from "../random";
import { elements, escapeXml } from "./xml";

const descriptionNamespace = "urn:adventureworks:product-description";
const instructionsNamespace = "urn:adventureworks:manufacturing-instructions";

/** What the catalogue says of a model: about 1,500 characters. */
export function catalogDescription(random: Random, name: string, id: number): string {
  const content = elements({
    Summary: escapeXml(Array.from({ length: 6 }, () => random.pick(sentences)).join(" ")),
    Manufacturer: elements({
      Name: `${random.pick(companyWords)} Cycles`,
      Copyright: "2013",
      ProductURL: `https://models.example/${id}`,
    }),
    Features: elements({
      Warranty: elements({ WarrantyPeriod: `${random.between(1, 5)} years`, Description: "parts and labour" }),
      Maintenance: elements({ NoOfYears: `${random.between(3, 10)} years`, Description: "at any of our dealers" }),
      Wheel: escapeXml(random.pick(sentences)),
      Saddle: escapeXml(random.pick(sentences)),
      Pedal: escapeXml(random.pick(sentences)),
      BikeFrame: escapeXml(random.pick(sentences)),
      Crankset: escapeXml(random.pick(sentences)),
    }),
    Picture: elements({ Angle: "front", Size: "small", ProductPhotoID: random.between(1, 100) }),
    Specifications: elements({
      Material: random.pick(["Aluminium", "Carbon", "Steel"]),
      Color: "Available in most colors",
      ProductLine: random.pick(["Mountain", "Road", "Touring"]),
      Style: random.pick(["Men's", "Unisex", "Women's"]),
      RiderExperience: random.pick(["Advanced to professional", "Beginner to intermediate"]),
    }),
  });
  const attributes = `xmlns="${descriptionNamespace}" ProductModelID="${id}" ProductModelName="${name}"`;
  return `<ProductDescription ${attributes}>${content}</ProductDescription>`;
}

/** How a model is made: an introduction, and the steps at several work centres. */
export function instructions(random: Random): string {
  const locations = Array.from({ length: random.between(2, 6) }, () => {
    const steps = Array.from({ length: random.between(2, 8) }, () => step(random)).join("");
    const hours = `SetupHours="0.${random.below(10)}" MachineHours="${random.below(4)}" LaborHours="${random.between(1, 4)}"`;
    return `<Location LocationID="${random.between(1, 14) * 10}" ${hours} LotSize="100">${steps}</Location>`;
  });
  const introduction = escapeXml(`${random.pick(sentences)} ${random.pick(sentences)}`);
  return `<root xmlns="${instructionsNamespace}">${introduction}${locations.join("")}</root>`;
}

/** A drawing of some shapes, as a vector graphic. */
export function diagram(random: Random): string {
  const shapes = Array.from({ length: 60 }, () => {
    const [x, y, radius] = [random.below(800), random.below(600), random.between(2, 60)];
    return `<circle cx="${x}" cy="${y}" r="${radius}" fill="none" stroke="#${random.digits(6)}"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 600">${shapes.join("")}</svg>`;
}

function step(random: Random): string {
  const tool = `<tool>${random.pick(["Tube bender", "Hex key", "Torque wrench"])}</tool>`;
  const material = `<material>${random.pick(partAdjectives)} ${random.pick(partNouns)}</material>`;
  return `<step>Insert the ${material} with the ${tool} and check that it holds.</step>`;
}
