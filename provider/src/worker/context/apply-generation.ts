/** More than a stream can be lent while one worker leads. Their product with a generation is an exact number. */
const termsPerGeneration = 1e9;

/**
 * The generation of a session that applies changes. It is higher in a later generation of the leader, and within it with a later
 * term: the leader raises the term when it lends a stream to another worker, and when it takes the stream back.
 */
export const applyGeneration = (generation: number, term: number): number => generation * termsPerGeneration + term;
