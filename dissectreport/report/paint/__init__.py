"""The page on which units are painted into images, by the network itself, in the browser."""
