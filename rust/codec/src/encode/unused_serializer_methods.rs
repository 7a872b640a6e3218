//! A macro with the methods of `serde::Serializer` that the encoding of Python objects does not need, for all formats.

/// The rest of [`serde::Serializer`] for a format that the walk alone writes to.
macro_rules! unsupported_methods {
    () => {
        type SerializeTuple = serde::ser::Impossible<(), Halt>;
        type SerializeTupleStruct = serde::ser::Impossible<(), Halt>;
        type SerializeTupleVariant = serde::ser::Impossible<(), Halt>;
        type SerializeStruct = serde::ser::Impossible<(), Halt>;
        type SerializeStructVariant = serde::ser::Impossible<(), Halt>;

        fn serialize_i8(self, v: i8) -> Result<(), Halt> {
            self.serialize_i64(v.into())
        }
        fn serialize_i16(self, v: i16) -> Result<(), Halt> {
            self.serialize_i64(v.into())
        }
        fn serialize_i32(self, v: i32) -> Result<(), Halt> {
            self.serialize_i64(v.into())
        }
        fn serialize_u8(self, v: u8) -> Result<(), Halt> {
            self.serialize_u64(v.into())
        }
        fn serialize_u16(self, v: u16) -> Result<(), Halt> {
            self.serialize_u64(v.into())
        }
        fn serialize_u32(self, v: u32) -> Result<(), Halt> {
            self.serialize_u64(v.into())
        }
        fn serialize_char(self, v: char) -> Result<(), Halt> {
            self.serialize_str(v.encode_utf8(&mut [0; 4]))
        }
        fn serialize_none(self) -> Result<(), Halt> {
            self.serialize_unit()
        }
        fn serialize_some<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<(), Halt> {
            value.serialize(self)
        }
        fn serialize_unit_struct(self, _: &'static str) -> Result<(), Halt> {
            self.serialize_unit()
        }
        fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Halt> {
            self.serialize_str(variant)
        }
        fn serialize_newtype_variant<T: serde::Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<(), Halt> {
            Err(Halt::Unsupported)
        }
        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Halt> {
            Err(Halt::Unsupported)
        }
        fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Halt> {
            Err(Halt::Unsupported)
        }
        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, Halt> {
            Err(Halt::Unsupported)
        }
        fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Halt> {
            Err(Halt::Unsupported)
        }
        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, Halt> {
            Err(Halt::Unsupported)
        }
    };
}

pub(crate) use unsupported_methods;
