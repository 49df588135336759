/**
 * onnxruntime collects usage events, keeps them with a device id in the user's cache directory and sends them to its
 * maker. People run this so that nothing leaves their machine, so it is turned off before the library starts.
 * Has to be set on the main thread: a worker's `process.env` is a copy that native code does not see.
 */
process.env['ORT_DISABLE_TELEMETRY'] = '1';
