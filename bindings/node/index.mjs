import latent from './index.js';

export const { load, getLoadablePath, getWeightsPath, toBlob, toVector } = latent;
export default latent;
