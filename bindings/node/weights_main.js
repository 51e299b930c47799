// The folder of these weights.
module.exports = require('node:path').join(__dirname, 'weights');
