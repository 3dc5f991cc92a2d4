import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  plugins: [react()],
  // Parts of Grafana read it at run time.
  define: { 'process.env.NODE_ENV': '"production"' },
  build: { chunkSizeWarningLimit: 20000, minify: false, sourcemap: false },
});
