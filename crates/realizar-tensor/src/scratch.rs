//! Buffers that kernels need while they run: one set per thread, grown to the largest use and then kept.

/// 64 bytes on a cache line of their own.
#[derive(Debug, Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
pub(crate) struct Line([f32; 16]);

/// The working memory of one thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Unpacked weights, or a widened block of keys and values.
    panel: Vec<Line>,
    /// Running sums of a tile.
    sums: Vec<Line>,
    /// Copies of weights that a kernel cannot read where they lie.
    pub(crate) bytes: Vec<u8>,
    /// The address where the weights end that this thread has multiplied last.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only the kernels of x86 fetch ahead")
    )]
    pub(crate) last: usize,
}

impl Scratch {
    /// Grows to so many f32 and bytes. Every thread's memory grows before a phase: which thread claims what is chance.
    pub(crate) fn reserve(&mut self, panel: usize, sums: usize, bytes: usize) {
        self.buffers(panel, sums);
        self.bytes.reserve(bytes.saturating_sub(self.bytes.len()));
    }

    /// A panel and sums of at least so many f32 (or i32, or four bytes); contents are whatever was there.
    pub(crate) fn buffers(&mut self, panel: usize, sums: usize) -> (&mut [f32], &mut [f32]) {
        (grown(&mut self.panel, panel), grown(&mut self.sums, sums))
    }
}

fn grown(lines: &mut Vec<Line>, floats: usize) -> &mut [f32] {
    let needed = floats.div_ceil(16);
    if lines.len() < needed {
        lines.resize(needed, bytemuck::Zeroable::zeroed());
    }
    &mut bytemuck::cast_slice_mut(lines)[..floats]
}
