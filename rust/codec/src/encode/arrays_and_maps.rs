//! Arrays and maps that are being written, element by element, for the serializers of all formats.
#![expect(clippy::inline_always, reason = "the leaves of a container belong into its loop")]

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::frame_sink::Halt;

/// A format whose arrays and maps are written element by element; each call comes before the element or at the end.
pub(crate) trait CompoundFormat {
    #[inline(always)]
    fn before_element(&mut self) {}
    #[inline(always)]
    fn before_key(&mut self) {}
    #[inline(always)]
    fn before_value(&mut self) {}
    #[inline(always)]
    fn end_array(&mut self) -> Result<(), Halt> {
        Ok(())
    }
    #[inline(always)]
    fn end_map(&mut self) -> Result<(), Halt> {
        Ok(())
    }
}

/// An array or a map that is open.
pub(crate) struct Compound<'a, F>(pub(crate) &'a mut F);

impl<F: CompoundFormat> SerializeSeq for Compound<'_, F>
where
    for<'b> &'b mut F: Serializer<Ok = (), Error = Halt>,
{
    type Ok = ();
    type Error = Halt;

    #[inline(always)]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.0.before_element();
        value.serialize(&mut *self.0)
    }

    #[inline(always)]
    fn end(self) -> Result<(), Halt> {
        self.0.end_array()
    }
}

impl<F: CompoundFormat> SerializeMap for Compound<'_, F>
where
    for<'b> &'b mut F: Serializer<Ok = (), Error = Halt>,
{
    type Ok = ();
    type Error = Halt;

    #[inline(always)]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Halt> {
        self.0.before_key();
        key.serialize(&mut *self.0)
    }

    #[inline(always)]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.0.before_value();
        value.serialize(&mut *self.0)
    }

    #[inline(always)]
    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), Halt> {
        self.serialize_key(key)?;
        self.serialize_value(value)
    }

    #[inline(always)]
    fn end(self) -> Result<(), Halt> {
        self.0.end_map()
    }
}
